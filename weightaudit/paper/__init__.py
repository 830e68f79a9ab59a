"""The source paper's experiments, each run with one command, its claims checked with numbers.

Kuzborskij & Abbasi Yadkori, "Low-rank bias, weight decay, and model merging in neural networks" (arXiv 2502.17340).
An experiment is a module with a config (`settings`) and a pure ``run(config, progress) -> Result`` (`results`);
`registry` lists them, `outputs` writes what they return. Nothing in the package imports this room but its command.
"""
