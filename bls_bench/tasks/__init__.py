"""The tasks, a folder each."""
