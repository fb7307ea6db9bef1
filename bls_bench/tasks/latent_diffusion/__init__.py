"""Diffusion in the codes of an autoencoder."""

PARTS = {
    "task": {"latent_diffusion": "task:LatentDiffusion"},
    "model": {"unet_latent": "models:LatentUNet"},
}
