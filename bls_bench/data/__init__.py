"""Data sets, and the batches they give: augmented and normalised on the training device."""

from bls_bench.data.base import Data, Dataset, Split
from bls_bench.tasks.classification.cifar import CIFAR
from bls_bench.tasks.classification.digits import Digits
from bls_bench.tasks.classification.folder import ImageFolder

__all__ = ["CIFAR", "Data", "Dataset", "Digits", "ImageFolder", "Split"]
