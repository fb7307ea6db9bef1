"""Semantic segmentation: a class for every pixel."""

PARTS = {
    "task": {"segmentation": "task:Segmentation"},
    "dataset": {"scene_pixels": "scenes:ScenePixels", "pixelmaps": "maps:PixelMaps"},
    "model": {"segmenter": "models:Segmenter", "smp": "models:SegmentationModels"},
}
