"""Masked autoencoders: images from a few of their patches, for features that are learnt without labels."""

PARTS = {
    "task": {"masked_autoencoder": "task:MaskedAutoencoder"},
    "model": {"vit_mae": "models:ViTMAE"},
}
