"""The dynamic pruners, one per file, named as on the command line."""
