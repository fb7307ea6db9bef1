"""The scorers, one a file, named as people type it."""
