"""METEOR 1.5 (Denkowski and Lavie 2014), by the Java program that the package pycocoevalcap brings."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

from bls_bench.system.errors import InputError, ResourceError, folded

Words = Sequence[str]


def check_meteor() -> None:
    """Raise InputError where the package or Java is missing."""
    if find_spec("pycocoevalcap") is None:
        raise InputError(
            "task.meteor needs pycocoevalcap, which is not installed: pip install 'bls_bench[captioning]'"
        )
    if shutil.which("java") is None:
        raise InputError("task.meteor needs Java, and there is no java on the PATH")


def meteor(said: Mapping[int, Words], references: Sequence[Sequence[Words]]) -> float:
    """Return METEOR in [0, 1] of the captions of pictures, by their numbers, over all of them together.

    Raises ResourceError where the program does not answer.
    """
    from pycocoevalcap.meteor.meteor import Meteor

    own = {number: [" ".join(words)] for number, words in said.items()}
    others = {number: [" ".join(words) for words in references[number]] for number in said}
    try:
        value, _ = Meteor().compute_score(others, own)
    except (ValueError, OSError) as error:  # an empty answer is no number
        raise ResourceError(
            f"task.meteor: the Java program ended without an answer: {folded(error)}"
        ) from None
    return value
