"""Matrices by what they do: products with AᵀA, and the facts of one pass; one module for each way of holding one."""
