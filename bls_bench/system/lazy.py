"""Modules that take long to import, imported when they are first used.

The settings of every part are checked before anything else is loaded, and `import torch` alone takes longer
than that check may. A module that holds settings imports torch from here; its first use loads it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any


class Lazy:
    """Stands for a module; an attribute that was looked up once is as fast as the module's own."""

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(import_module(self.__dict__["_name"]), attribute)
        self.__dict__[attribute] = value
        return value


if TYPE_CHECKING:
    import torch
else:
    torch = Lazy("torch")

__all__ = ["Lazy", "torch"]
