"""Table 1: sizes of the six models."""
