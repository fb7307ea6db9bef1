"""The scorers, one per file, named as on the command line."""
