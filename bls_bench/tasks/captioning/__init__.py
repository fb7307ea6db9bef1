"""Captioning: a sentence that says what is on a picture."""

PARTS = {
    "task": {"captioning": "task:Captioning"},
    "dataset": {
        "described_scenes": "scenes:DescribedScenes",
        "caption_lines": "lines:CaptionLines",
        "coco_captions": "coco:COCOCaptions",
        "karpathy": "karpathy:Karpathy",
        "captioned_videos": "videos:CaptionedVideos",
    },
    "model": {"captioner": "models:Captioner", "prefix_gpt2": "prefix_models:PrefixGPT2"},
}
