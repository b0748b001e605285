"""The codec of mini: its losses, discriminator and training run."""
