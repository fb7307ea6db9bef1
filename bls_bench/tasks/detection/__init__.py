"""Detection of objects: boxes and their classes, trained by a loss that only a whole batch has."""

PARTS = {
    "task": {"detection": "task:Detection"},
    "dataset": {
        "scenes": "scenes:Scenes",
        "coco": "coco:COCO",
        "voc": "voc:VOC",
        "pennfudan": "pennfudan:PennFudan",
    },
    "model": {"detector": "models:Detector"},
}
