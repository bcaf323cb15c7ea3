"""Samplers come back from disk as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from toys import normal, seeded

from vaelab.runtime.errors import UserError
from vaelab.samplers import gaussians
from vaelab.samplers.flow import FlowRecipe, fit_flow
from vaelab.samplers.gaussians import (
    ClassGaussians,
    Mixture,
    Prior,
    Sampler,
    fit_class_gaussians,
    fit_mixture,
)
from vaelab.samplers.saved import load, save
from vaelab.vae.model import Posterior

RECIPE = FlowRecipe(width=8, blocks=3, steps=5, batch_size=16, ode_steps=4)


@pytest.fixture
def samplers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Sampler]:
    monkeypatch.setattr(gaussians, "DRAWS", 500)
    mu = normal(60, 3)
    posterior = Posterior(mu, torch.full_like(mu, -2.0))
    return {
        "prior": Prior(3),
        "tempered": Prior(3, 0.7),
        "mixture": fit_mixture(posterior, seed=0, components=2),
        "class": fit_class_gaussians(posterior, torch.arange(60) % 4 + 1),
        "flow": fit_flow(posterior, seed=0, device=torch.device("cpu"), recipe=RECIPE),
    }


def test_round_trip(samplers: dict[str, Sampler], tmp_path: Path) -> None:
    folder, again = tmp_path / "D" / "conv" / "seed_0", tmp_path / "again"
    save(samplers, folder)
    save(samplers, again)
    names = ["class", "flow", "mixture"]
    assert sorted(file.stem for file in folder.iterdir()) == names
    state = torch.get_rng_state()
    for name in names:
        loaded = load(folder, name)
        assert type(loaded) is type(samplers[name])
        assert torch.equal(loaded.sample(50, seeded()), samplers[name].sample(50, seeded()))
        file = f"{name}.safetensors"
        assert (folder / file).read_bytes() == (again / file).read_bytes()
    assert torch.equal(torch.get_rng_state(), state)
    classes = load(folder, "class")
    assert isinstance(classes, ClassGaussians)
    assert classes.labels.tolist() == [1, 2, 3, 4]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def replaced(file: Path) -> None:
    save_file({"ode_steps": torch.tensor(3)}, file)


def exchanged(file: Path) -> None:
    """Another kind's file in its place."""
    other = "flow" if file.stem == "mixture" else "mixture"
    file.write_bytes(file.with_stem(other).read_bytes())


@pytest.mark.parametrize("name", ["mixture", "class", "flow"])
@pytest.mark.parametrize("harm", [Path.unlink, cut, replaced, exchanged])
def test_missing_or_damaged(
    samplers: dict[str, Sampler], tmp_path: Path, harm: Callable[[Path], None], name: str
) -> None:
    folder = tmp_path / "toys" / "conv" / "seed_0"
    save(samplers, folder)
    harm(folder / f"{name}.safetensors")
    with pytest.raises(UserError, match="dvc repro compare@toys") as caught:
        load(folder, name)
    assert f"{name}.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mixtures_moments_are_its_draws(samplers: dict[str, Sampler]) -> None:
    for name in ("mixture", "class"):
        mixture = samplers[name]
        assert isinstance(mixture, Mixture)
        mean, covariance = mixture.moments()
        z = mixture.sample(100_000, seeded()).double()
        torch.testing.assert_close(mean, z.mean(0), atol=0.02, rtol=0.0)
        torch.testing.assert_close(covariance, torch.cov(z.T), atol=0.03, rtol=0.0)
