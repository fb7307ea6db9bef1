"""Loggers, one a file, named as they are typed: `logger=wandb`. A package is imported when a run starts."""
