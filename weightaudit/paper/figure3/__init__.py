"""Figure 3: merging by summing weights."""
