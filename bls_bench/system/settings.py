"""What the settings of every part of a run share: a version, and how their values count in a run's key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, field
from typing import Any, ClassVar


class Part:
    """Base of the settings of every group; a part is a dataclass whose fields are its settings.

    version: of what it computes. Raised whenever the numbers of the same settings change, so that no record
    made before passes for one made after.
    silent_version: the same for runs whose samples may go without a loss (`Task.partial`), where only their
    numbers change.
    requires: packages beyond the core's that it imports once it is used; extra: what brings them, as in
    `pip install 'bls_bench[extra]'`.
    """

    version: ClassVar[int] = 1
    silent_version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""


def unkeyed(default: Any = MISSING) -> Any:
    """A field that changes no number, and so is not part of a run's key."""
    return field(default=default, metadata={"keyed": False})


def folder(default: Any = MISSING) -> Any:
    """A field that holds a folder, of which the key takes the last part only: data may lie anywhere."""
    return field(default=default, metadata={"folder": True})


def versioned(default: Any, versions: Mapping[Any, int]) -> Any:
    """A field some of whose values have a version of their own, `versions`, as a part has.

    Raised where the numbers under that value change and those under the others do not.
    """
    return field(default=default, metadata={"versions": versions})


def added(default: Any, neutral: Any, folder: bool = False) -> Any:
    """A field that is newer than some records: at `neutral`, as those were made, the key leaves it out.

    folder: it holds one, see `folder`.
    """
    return field(default=default, metadata={"neutral": neutral, "folder": folder})
