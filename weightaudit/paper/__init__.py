"""The source paper's experiments, each run with one command, its claims checked with numbers.

Kuzborskij & Abbasi Yadkori, "Low-rank bias, weight decay, and model merging in neural networks" (arXiv 2502.17340).
An exhibit of the paper is a folder, whose ``experiment`` has a config (`settings`) and a pure ``run(config, progress)``
that returns a `results.Result`; beside it its ``claims`` are judged and its ``charts`` made. `registry` lists them,
`outputs` writes what they return. Nothing in the package imports this room but its command.
"""
