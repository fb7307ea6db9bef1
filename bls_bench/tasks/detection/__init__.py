"""Detection of objects: boxes and their classes, trained by a loss that only a whole batch has."""

PARTS = {
    "task": {"detection": "task:Detection"},
    "dataset": {"scenes": "scenes:Scenes"},
    "model": {"detector": "models:Detector"},
}
