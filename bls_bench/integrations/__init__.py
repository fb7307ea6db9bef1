"""Pruning in other people's loops: one module a framework, each imported by who uses that framework."""
