"""What pruning asks of a data set: a length, and items by index."""

from typing import Any

from torch.utils.data import Dataset, IterableDataset


def sample_count(dataset: Dataset) -> int:
    """Return the length of a map-style data set; raises TypeError for any other."""
    name = type(dataset).__name__
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
        raise TypeError(f"pruning needs a map-style data set, with items by index: {name} has none")
    try:
        return len(dataset)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"pruning needs a data set with a length: {name} has none") from None


def fetch(dataset: Dataset, indices: list[int]) -> list[Any]:
    """Return the items of a batch, by the data set's own batched access where it has one."""
    batched = getattr(dataset, "__getitems__", None)
    return batched(indices) if callable(batched) else [item(dataset, index) for index in indices]


def item(dataset: Dataset, index: Any) -> Any:
    """Return an item, or those of a list of indices; an IndexError in the data set's code names the sample.

    It may be that the data set is shorter than it says, or any other index in that code: the error raised
    first, which is the cause of this one, tells which.
    """
    try:
        return dataset[index]
    except IndexError as error:
        length = sample_count(dataset)
        raise IndexError(
            f"IndexError while reading sample {index} of a data set of length {length}: {error}"
        ) from error
