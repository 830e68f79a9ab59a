"""What merging models would do to each, as files."""
