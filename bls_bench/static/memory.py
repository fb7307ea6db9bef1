"""Say what a method needs before memory runs out."""

from bls_bench.data.memory import host_free


def shortage(bytes_needed: int, what: str) -> str | None:
    """Return the message for `what` needing more memory than is free, None if it does not."""
    free = host_free()
    if bytes_needed <= free:
        return None
    return (
        f"{what} need {bytes_needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free: take fewer "
        "samples (dataset.subset) or another method"
    )
