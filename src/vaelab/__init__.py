"""VAE Lab: fully connected against convolutional VAEs, and what a latent space looks like."""
