"""BLEU-4 and CIDEr-D of captions, as the evaluation of COCO Captions has them, on words already split.

Sources: Papineni et al. 2002 (BLEU); Vedantam et al. 2015 (CIDEr), its variant D with the constants of
COCO's evaluation server (Chen et al. 2015). METEOR, which needs Java, is in `meteor.py`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

Words = Sequence[str]
# Of grams and of lengths, in CIDEr-D.
LONGEST, SIGMA = 4, 6.0


def grams(words: Words, length: int) -> Counter[tuple[str, ...]]:
    """Return how often each row of `length` words is there."""
    return Counter(tuple(words[at : at + length]) for at in range(len(words) - length + 1))


def bleu(said: Mapping[int, Words], references: Sequence[Sequence[Words]]) -> float:
    """Return BLEU-4 in [0, 1] of the captions of pictures, by their numbers, over all of them together.

    The length that a caption should have is that of the reference closest to it, the shorter of two.
    """
    right, there = [0] * LONGEST, [0] * LONGEST
    length = wanted = 0
    for number, words in said.items():
        others = references[number]
        length += len(words)
        wanted += min((abs(len(other) - len(words)), len(other)) for other in others)[1]
        for at in range(LONGEST):
            own, allowed = grams(words, at + 1), Counter[tuple[str, ...]]()
            for other in others:
                allowed |= grams(other, at + 1)
            right[at] += (own & allowed).total()
            there[at] += own.total()
    if not min(right):
        return 0.0
    precision = math.exp(sum(math.log(hit / all_) for hit, all_ in zip(right, there, strict=True)) / LONGEST)
    return precision * min(1.0, math.exp(1 - wanted / length))


class CIDEr:
    """CIDEr-D against the references of each picture; grams of few pictures count most."""

    def __init__(self, references: Sequence[Sequence[Words]]) -> None:
        self._pictures = Counter[tuple[str, ...]]()
        for others in references:
            found = {gram for other in others for at in range(LONGEST) for gram in grams(other, at + 1)}
            self._pictures.update(found)
        self._log_count = math.log(len(references))
        self._references = [[(len(other), self._vectors(other)) for other in others] for others in references]

    def _vectors(self, words: Words) -> list[dict[tuple[str, ...], float]]:
        """Return for each length the grams' weights: count times log(pictures / pictures that have it)."""
        return [
            {
                gram: count * (self._log_count - math.log(max(1, self._pictures[gram])))
                for gram, count in grams(words, at + 1).items()
            }
            for at in range(LONGEST)
        ]

    def of(self, words: Words, number: int) -> float:
        """Return the value of one caption of picture `number`, in [0, 10]."""
        own, others = self._vectors(words), self._references[number]
        total = 0.0
        for length, vectors in others:
            near = math.exp(-((len(words) - length) ** 2) / (2 * SIGMA**2))
            total += near * sum(_alike(one, other) for one, other in zip(own, vectors, strict=True)) / LONGEST
        return 10 * total / len(others)

    def mean(self, said: Mapping[int, Words]) -> float:
        """Return the mean over pictures of their captions' values."""
        return sum(self.of(words, number) for number, words in said.items()) / len(said)


def _alike(one: Mapping[tuple[str, ...], float], other: Mapping[tuple[str, ...], float]) -> float:
    """Return the cosine of two vectors, where the first counts no gram more than the second."""
    product = sum(min(weight, other[gram]) * other[gram] for gram, weight in one.items() if gram in other)
    norms = math.hypot(*one.values()) * math.hypot(*other.values())
    return product / norms if norms else 0.0
