"""Say what a method needs before memory runs out."""

import os


def require(bytes_needed: int, what: str) -> None:
    """Raise ValueError if `what`, named in the message, needs more memory than this machine has."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if bytes_needed > there:
        raise ValueError(
            f"{what} need {bytes_needed / 2**30:.1f} GiB, and this machine has {there / 2**30:.1f} GiB of "
            "memory: take fewer samples (dataset.subset) or another method"
        )
