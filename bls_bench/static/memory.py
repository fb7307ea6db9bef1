"""Say what a method needs before memory runs out."""


def shortage(bytes_needed: int, free: int, what: str) -> str | None:
    """Return the message for `what` needing more than the `free` bytes, None if it does not."""
    if bytes_needed <= free:
        return None
    return (
        f"{what} need {bytes_needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free: take fewer "
        "samples (dataset.subset) or another method"
    )
