"""Classifiers of sounds: the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.system import settings
from bls_bench.system.errors import InputError
from bls_bench.tasks.base import Model

if TYPE_CHECKING:
    from torch import nn

    from bls_bench.tasks.audio.data import Sounds

KINDS = ("hubert", "wav2vec2")


@dataclass(frozen=True, kw_only=True)
class LogMelCNN(Model):
    """A log-mel spectrogram, made on the device, and four convolutions with BatchNorm.

    bands: of the spectrogram. window: its milliseconds, stepped by half of them. width: channels of the
    first convolution, doubled by each further one. dropout: before the last layer.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"sound", "classes"})
    gives: ClassVar[frozenset[str]] = frozenset({"sound_logits"})
    bands: int = 64
    window: float = 40.0
    width: int = 16
    dropout: float = 0.2

    def __post_init__(self) -> None:
        for name, least in (("bands", 16), ("width", 1), ("window", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")

    def build(self, info: Sounds) -> nn.Module:
        """Build the model for waves (b, info.length); it returns (b, classes)."""
        from bls_bench.tasks.audio.logmel import LogMelNet

        return LogMelNet(self, info)


@dataclass(frozen=True, kw_only=True)
class SpeechEncoder(Model):
    """HuBERT or wav2vec 2.0 of transformers, with random weights or from a folder.

    kind: hubert or wav2vec2. layers, width, heads: of the transformer; its convolutions have `width`
    channels too. dropout: everywhere. weights: a folder that transformers saved (also the name of a model on
    its hub); of the other fields only the dropout counts then. Such models want sounds of 16,000 values a
    second.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"sound", "classes"})
    gives: ClassVar[frozenset[str]] = frozenset({"sound_logits"})
    requires: ClassVar[tuple[str, ...]] = ("transformers",)
    extra: ClassVar[str] = "audio"
    kind: str = "hubert"
    layers: int = 2
    width: int = 64
    heads: int = 4
    dropout: float = 0.1
    weights: str | None = settings.folder(None)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        for name in ("layers", "width", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.width % self.heads or self.width % 16:
            raise ValueError(f"width must be a multiple of 16 and of heads={self.heads}, got {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")

    def build(self, info: Sounds) -> nn.Module:
        """Build the model for waves (b, info.length); it returns (b, classes).

        Raises InputError for a folder that holds no such model, and for sounds that are too short.
        """
        from bls_bench.tasks.audio.speech import from_folder, small

        if info.length < 400:
            raise InputError(
                f"model={self.kind} needs sounds of at least 400 values, these have {info.length}"
            )
        return small(self, info) if self.weights is None else from_folder(self.weights, self.dropout, info)
