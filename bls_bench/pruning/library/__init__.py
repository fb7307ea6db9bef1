"""The library: three lines in any training loop."""
