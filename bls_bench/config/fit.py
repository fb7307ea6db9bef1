"""Whether the parts of a run fit each other: what one needs, another has to give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bls_bench.system.errors import InputError

if TYPE_CHECKING:
    from bls_bench.config.schema import Trainer

# What is needed and given: what it is, and where something lacks it, the way out.
WORDS = {
    # data sets
    "images": ("images", "take a data set of images"),
    "classes": ("a class for every sample", "take a data set with classes"),
    "boxes": ("boxes around objects", "take a data set with boxes"),
    "masks": ("a mask of each object", "use dataset.masks=true"),
    "sound": ("sounds", "take a data set of sounds"),
    "pixel_classes": ("a class for every pixel", "take a data set with class maps"),
    "text": ("text", "take a data set of text"),
    "answers": ("instructions with answers", "use dataset=alpaca"),
    "words": ("pictures of words", "use dataset=digit_words"),
    "views": ("several views of a scene", "use dataset=rendered_planes"),
    "captions": ("captions", "use dataset=described_scenes"),
    "pairs": ("two views of each sample", "use dataset=scene_views"),
    # models
    "sound_logits": ("a model that classifies sounds", "use model=logmel_cnn"),
    "word_logits": ("a model that reads words", "use model=ctc"),
    "text_logits": ("a model that classifies texts", "use model=encoder"),
    "next_tokens": ("a model that continues texts", "use model=causal_lm"),
    "next_words": ("a model that writes captions", "use model=captioner"),
    "embeddings": ("a model that brings views to vectors", "use model=two_towers"),
    "logits": ("a model that gives logits", "take a classifier of these data"),
    "detections": ("a model that detects", "use model=fcos"),
    "outlines": ("a model that gives masks", "use model=maskrcnn"),
    "pixel_logits": ("a model that gives every pixel a class", "use model=unet"),
    "depths": ("a model that finds depths", "use model=plane_sweep"),
    "reconstructing": ("a model that finds hidden patches", "use model=vit_mae"),
    "autoencoding": ("a model that encodes and decodes", "use model=vae_mlp"),
    "denoising": ("a model that finds noise", "use model=unet2d"),
    "latent_denoising": ("a model that finds noise in codes", "use model=unet_latent"),
    # tasks
    "per_sample": ("the loss of each sample", "use scorer=bls"),
    "time": ("the random time of each sample", "use scorer=per_sample"),
    "outputs": ("the outputs of a classifier to choose samples by", "use pruner=static_random"),
    # trainer
    "whole_model": ("to look into the whole model", "use trainer.strategy=ddp"),
}
SIGNAL = "use scorer=per_sample"
CLASSES = "the class of each sample", "use scorer=bls"  # as a scorer needs them, of the task


def check_fit(names: Mapping[str, Any], parts: Mapping[str, Any], trainer: Trainer) -> None:
    """Raise InputError, naming the group and the way out, where a part needs what the others do not give.

    names: the resolved values of each group, for the names in the message.
    """
    dataset, model, task = parts["dataset"], parts["model"], parts["task"]
    scorer, pruner = parts["scorer"], parts["pruner"]
    given = (
        ("model", model.needs, dataset.gives, ("dataset",)),
        ("task", task.needs, dataset.gives | model.gives, ("dataset", "model")),
        ("scorer", scorer.needs, task.gives, ("task",)),
        ("pruner", pruner.needs, task.gives | trainer.gives, ("task", "trainer")),
    )
    for group, needs, gives, sources in given:
        for thing in sorted(needs - gives):
            what, way_out = WORDS.get(thing, (f"{thing} of each sample", SIGNAL))
            if group == "scorer" and "per_sample" in needs - gives:
                what, way_out = WORDS["per_sample"]
            elif group == "scorer" and thing == "classes":
                what, way_out = CLASSES
            origin = " or ".join(named(source, names) for source in sources)
            raise InputError(f"{named(group, names)} needs {what}, which {origin} does not give: {way_out}")


def named(group: str, names: Mapping[str, Any]) -> str:
    """Name a group with what was chosen for it; the trainer has no choice."""
    return "trainer" if group == "trainer" else f"{group}={names[group]['_target_']}"
