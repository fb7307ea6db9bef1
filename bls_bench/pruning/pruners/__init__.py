"""The dynamic pruners, a method a file, named as people type it."""
