"""Captioning: the settings of the task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.system import settings
from bls_bench.tasks.base import Metric, Task

if TYPE_CHECKING:
    from torch import Tensor

    from bls_bench.data.base import Data
    from bls_bench.gallery.shown import Shown
    from bls_bench.tasks.captioning.objective import Describing


@dataclass(frozen=True, kw_only=True)
class Captioning(Task):
    """Cross-entropy of a caption's words; CIDEr and BLEU-4 of what is said about the test pictures.

    per_sample: the loss is one a picture, the mean over its caption's words and end; else one a batch, over
    the words of all its captions, as most code for captioning has it. meteor: METEOR as well; it needs Java
    and pycocoevalcap.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"captions", "next_words"})
    per_sample: bool = True
    meteor: bool = settings.added(False, neutral=False)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        asked = (Metric("METEOR", "higher", "%"),) if self.meteor else ()
        return (Metric("CIDEr", "higher", margin=2.0), Metric("BLEU4", "higher", "%"), *asked)

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"per_sample"} if self.per_sample else ())

    def build(self, data: Data, seed: int) -> Describing:
        from bls_bench.tasks.captioning.meteor import check_meteor
        from bls_bench.tasks.captioning.objective import Describing

        if self.meteor:
            check_meteor()
        return Describing(self, data.info)

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        from bls_bench.tasks.captioning.showing import described

        return described(data, indices)
