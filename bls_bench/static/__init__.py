"""Static pruning: one subset, chosen before training from a short scoring run."""
