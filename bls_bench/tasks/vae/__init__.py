"""Variational autoencoders: images from normal noise, trained on a bound of their likelihood."""

PARTS = {
    "task": {"vae": "task:VAE"},
    "model": {"vae_mlp": "models:MLP", "vae_conv": "models:Conv"},
}
