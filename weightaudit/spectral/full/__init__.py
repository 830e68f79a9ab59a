"""Every singular value of a matrix, and what their distribution looks like: `measure` with ``spectrum="full"``."""
