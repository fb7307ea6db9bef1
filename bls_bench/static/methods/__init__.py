"""The static pruners, a method a file, named as people type it."""
