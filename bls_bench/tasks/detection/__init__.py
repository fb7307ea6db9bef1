"""Detection of objects, boxes and maybe masks: trained by a loss that only a whole batch has."""

PARTS = {
    "task": {"detection": "task:Detection", "instance_segmentation": "task:InstanceSegmentation"},
    "dataset": {
        "scenes": "scenes:Scenes",
        "coco": "coco:COCO",
        "voc": "voc:VOC",
        "pennfudan": "pennfudan:PennFudan",
    },
    "model": {"detector": "models:Detector"},
}
