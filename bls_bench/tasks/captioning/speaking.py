"""What all networks share that write captions: word after word, given or by themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bls_bench.system.processes import process_rank
from bls_bench.tasks.captioning.words import END, PAD, START, UNKNOWN
from bls_bench.tasks.vision import Places


class Speaker(nn.Module):
    """encoder: turns (b, 3, S, S) into (b, places, channels). longest: the words that it says at most."""

    def __init__(self, encoder: Places, longest: int) -> None:
        super().__init__()
        self.encoder, self.longest = encoder, longest

    def places(self, images: Tensor) -> Tensor:
        """Return what the encoder says of images (b, 3, S, S), or its mean over the frames of videos."""
        if images.ndim == 4:
            return self.encoder(images)
        return self.encoder(images.flatten(0, 1)).unflatten(0, images.shape[:2]).mean(1)

    def look(self, images: Tensor) -> Tensor:
        """Return (b, n, width), what is seen on images (b, 3, S, S), or on videos (b, f, 3, S, S)."""
        raise NotImplementedError

    def next(self, seen: Tensor, words: Tensor) -> Tensor:
        """Return the logits (b, t, V) of the word behind each of the words (b, t)."""
        raise NotImplementedError

    def forward(self, images: Tensor, words: Tensor | None = None) -> Tensor:
        """Return the logits (b, t, V) of the word behind each of the words (b, t), START among them.

        Without words, the (b, longest) int64 words that are likeliest one after the other; PAD behind an END.
        A word that is not known is never said. It is here, not beside: FSDP gathers a model for its forward.
        """
        seen = self.look(images)
        return self._say(seen) if words is None else self.next(seen, words)

    def _say(self, seen: Tensor) -> Tensor:
        words = torch.full((len(seen), 1), START, device=seen.device)
        ended = torch.zeros(len(seen), dtype=torch.bool, device=seen.device)
        alone = process_rank()[1] == 1
        for _ in range(self.longest):
            logits = self.next(seen, words)[:, -1]
            logits[:, [PAD, START, UNKNOWN]] = -torch.inf
            found = logits.argmax(1).masked_fill(ended, PAD)
            words = torch.cat([words, found[:, None]], 1)
            ended |= found == END
            # A model in parts has to run as often on all processes, whatever each has to say.
            if alone and ended.all():
                break
        return nn.functional.pad(words[:, 1:], (0, self.longest + 1 - words.shape[1]), value=PAD)
