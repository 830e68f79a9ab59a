"""Loops in machine code: compiled by numba, kept from one process to the next, loaded without it."""
