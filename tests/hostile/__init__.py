"""Models made to do harm, met as a user meets them: through the command line.

Every byte of a model is a stranger's: headers, pickles, indexes, configs, and all names. What must hold for each of
them is told by `conftest.Attack`: a refusal is one printable line that names the thing, the cause and the next step,
with exit code 3, and leaves no output file; a scan that succeeds leaves outputs which nothing in the model can break.
"""
