"""Several models that may be merged: what that would do to each, and the linear merge itself."""
