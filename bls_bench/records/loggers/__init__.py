"""Loggers, one a file, named as they are typed: `logger=wandb`. Each imports its package when a run starts."""
