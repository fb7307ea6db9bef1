"""Diffusion models: images from noise that is taken away step by step."""

PARTS = {
    "task": {"diffusion": "task:Diffusion"},
    "model": {"unet2d": "models:UNet"},
}
