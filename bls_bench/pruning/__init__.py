"""The core: which samples an epoch trains on. Needs torch only."""
