"""What things cost: the bookkeeping, and training with it."""
