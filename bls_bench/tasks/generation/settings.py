"""What the settings of the tasks that generate images share."""

from __future__ import annotations

from bls_bench.records.schema import Metric


def fid_metric(inception: str | None) -> Metric:
    """Return the metric under the name that tells whose features it is on: only `fid` is a published FID."""
    return Metric("fid" if inception else "fid_own", "lower")


def check_samples(samples: int) -> None:
    """Raise ValueError for too few images to have a covariance."""
    if samples < 2:
        raise ValueError(f"samples must be at least 2, got {samples}")
