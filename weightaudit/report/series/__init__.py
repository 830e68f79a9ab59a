"""A run over the steps of training: its log, its table and its page."""
