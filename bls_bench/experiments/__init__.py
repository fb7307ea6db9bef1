"""The papers' tables as runs: which there are, and how they are trained."""
