"""The static pruners, one per file, named as on the command line."""
