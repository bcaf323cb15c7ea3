"""Small data sets, models and settings that several tests share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from vaelab import nets
from vaelab.data import arrays
from vaelab.data.arrays import ImageArrays, Split, SplitName, save
from vaelab.plotting.style import DPI
from vaelab.samplers import saved
from vaelab.samplers.gaussians import Mixture
from vaelab.settings import load_settings
from vaelab.sources.shapes import FACTORS, SHAPES, draw, sample_factors
from vaelab.studies.latent.walks import Group
from vaelab.vae.model import VAE, Posterior, VAEConfig, seed_dir

PARAMS = Path(__file__).parents[1] / "params.yaml"


def image_arrays(
    folder: Path,
    draw: Callable[[int], NDArray[np.uint8]],
    counts: dict[SplitName, int],
    classes: int = 1,
) -> ImageArrays:
    """draw: how many -> uint8 (n, C, H, W). The labels go round the classes."""
    splits = {
        name: Split(draw(count), np.arange(count, dtype=np.int64) % classes)
        for name, count in counts.items()
    }
    save(
        folder,
        splits,
        name=folder.name,
        source={},
        class_names=[str(label) for label in range(classes)],
        factor_names=[],
        split_seed=0,
    )
    return ImageArrays.open(folder)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy_meta(**changes: Any) -> arrays.Meta:
    empty = {"name": "toy", "source": {}, "shape": (1, 16, 16), "counts": {}, "digest": ""}
    names: dict[str, Any] = {"class_names": ["a"], "factor_names": [], "split_seed": 0}
    return arrays.Meta(**empty | names | changes)


class Recorder:
    """Stands for MLflow's run."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.metrics: dict[str, float | None] = {}
        self.artifacts: list[tuple[Path, str | None]] = []

    @contextmanager
    def run(self, stage: str, settings: Any, meta: arrays.Meta, *, name: str) -> Iterator[Recorder]:
        self.names.append(name)
        yield self

    def log_metrics(self, metrics: Mapping[str, float | None]) -> None:
        self.metrics |= metrics

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        assert path.exists()
        self.artifacts.append((path, folder))


NETS = {"fc": {"width": 24, "blocks": 2}, "conv": {"width": 4, "blocks": 1}}


def small_vae(architecture: str, channels: int = 3, side: int = 16, **config: Any) -> VAE:
    """Untrained; config: fields of VAEConfig."""
    fields = {
        "latent_dim": 6,
        "likelihood": "bernoulli",
        "net": NETS.get(architecture, {}),
    } | config
    return nets.build(VAEConfig(architecture=architecture, shape=(channels, side, side), **fields))


def write_data(
    folder: Path, *, known_factors: bool, grey: bool = False, tests: int = 30
) -> arrays.Meta:
    factors = sample_factors(90, seed=0)
    images = np.full((90, 3, 16, 16), 128, np.uint8) if grey else draw(factors, 16)
    kind = factors[:, 0].astype(np.int64) if known_factors else np.zeros(90, np.int64)
    every = Split(images, kind, factors if known_factors else None)
    return save(
        folder,
        {"train": every[:40], "val": every[40:60], "test": every[60 : 60 + tests]},
        name=folder.name,
        source={},
        class_names=SHAPES if known_factors else ["toys"],
        factor_names=FACTORS if known_factors else [],
        split_seed=0,
    )


def write_params(**changes: Any) -> None:
    """params.yaml of small models; changes: mappings, to `interpolate` and `latent_explore`."""
    tree = yaml.safe_load(PARAMS.read_text())
    tree["datasets"] = {"toys": {"source": "shapes", "image_size": 16, "count": 90}}
    tree["model"] |= {
        "latent_dim": 4,
        "fc": {"width": 8, "blocks": 1},
        "conv": {"width": 2, "blocks": 0},
    }
    tree["train"] |= {"device": "cpu"}
    small = {
        "interpolate": {"pairs": 2, "corners": "drawn", "measured": 6, "relaxation": 3, "steps": 3},
        "latent_explore": {"samples": 9, "traversals": 6, "directions": 2, "mapped": 50},
    }
    for section, values in small.items():
        tree[section] |= values | changes.get(section, {})
    Path("params.yaml").write_text(yaml.safe_dump(tree))


def save_models(**changes: Any) -> None:
    """Untrained ones, as params.yaml says; changes: to its `model`."""
    settings = load_settings().of("toys")
    model = settings.model.model_copy(update=changes)
    torch.manual_seed(0)
    for vae in (
        nets.build(nets.configure("fc", model, (3, 16, 16))),
        nets.build(nets.configure("conv", model, (3, 16, 16))),
    ):
        name, latent_dim = vae.config.architecture, vae.latent_dim
        vae.save(seed_dir(settings.model_dir(name), 0))
        saved.save(
            {"mixture": standard_mixture(latent_dim)}, seed_dir(settings.samplers_dir / name, 0)
        )


def standard_mixture(latent_dim: int) -> Mixture:
    """N(0, I), in one component."""
    eye = torch.eye(latent_dim, dtype=torch.float64)
    return Mixture(torch.ones(1, dtype=torch.float64), 0.0 * eye[:1], eye[None])


def contents(*folders: str) -> dict[str, bytes]:
    files = [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def assert_links_work(report: Path) -> None:
    links = re.findall(r"\]\(([^#].*?)\)", report.read_text())
    assert links
    assert all((report.parent / link).is_file() for link in links)


def assert_fits(figure: Figure) -> None:
    """All that is drawn, texts too, lies within the canvas."""
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= -1.0 / DPI


def group(inside: Sequence[int] | NDArray[Any], name: str = "it") -> Group:
    """In all splits the same."""
    every = np.asarray(inside, bool)
    return Group(name, f"not {name}", every, every, every)


class Blocks(nn.Module):
    """A VAE's interface: each of four latents is the mean of a block of pixels of (1, 16, 16)."""

    latent_dim = 4
    shape = (1, 16, 16)
    stochastic = True

    def __init__(self, reach: float = 0.1) -> None:
        super().__init__()
        self.reach = nn.Parameter(torch.tensor(reach))  # of a pixel, for a unit of z

    def encode(self, images: Tensor) -> Posterior:
        means = nn.functional.avg_pool2d(images, 8).flatten(1)
        mu = (means - 0.5) / self.reach
        return Posterior(mu, torch.full_like(mu, -2.0))

    def decode_mean(self, z: Tensor) -> Tensor:
        blocks = (0.5 + self.reach * z).reshape(-1, 1, 2, 2)
        return blocks.repeat_interleave(8, 2).repeat_interleave(8, 3)
