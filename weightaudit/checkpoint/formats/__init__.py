"""File formats: stored bytes → named tensors, each format in a module of its own."""
