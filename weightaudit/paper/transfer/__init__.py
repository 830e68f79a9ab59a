"""Whether what weights say of a merge is what it loses."""
