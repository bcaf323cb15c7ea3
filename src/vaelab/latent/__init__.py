"""What a latent space holds: paths, regions, dimensions, directions, maps; a file for each."""
