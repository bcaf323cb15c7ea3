"""The net and the training loop that one usually finds, for training.py and quality.py."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from vaelab import nets
from vaelab.data.arrays import ImageArrays
from vaelab.settings import DatasetSettings, Settings
from vaelab.vae.model import VAE
from vaelab.vae.objective import elbo_terms


def untrained(
    architecture: str, settings: Settings | DatasetSettings, images: ImageArrays, seed: int = 0
) -> VAE:
    torch.manual_seed(seed)
    return nets.build(nets.configure(architecture, settings.model, images.shape))


class Pictures(Dataset[Tensor]):
    """As torchvision's sets: an array in memory, and a PIL image when one is asked for."""

    def __init__(self, images: NDArray[np.uint8], transform: Callable[[Image.Image], Tensor]):
        """images: uint8 (N, C, H, W)"""
        self.images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(Image.fromarray(self.images[index].squeeze()))


def usual_loader(images: ImageArrays) -> DataLoader[Tensor]:
    """Of the train split, in batches of 128, half of the images mirrored."""
    floats = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
    transform = v2.Compose([v2.RandomHorizontalFlip(), *floats])
    return DataLoader(Pictures(images.train.images, transform), 128, shuffle=True)


def usual_epoch(
    vae: VAE, loader: DataLoader[Tensor], optimiser: torch.optim.Optimizer, device: torch.device
) -> float:
    """One pass in float32. Returns the mean loss, nats/image."""
    losses = []
    for batch in loader:
        terms = elbo_terms(vae, batch.to(device))
        loss = -terms.elbo.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)
