"""The training loop: what it learns, its schedules, and that a stopped run goes on bit for bit."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from toys import image_arrays, small_vae

from vaelab.data.arrays import ImageArrays
from vaelab.runtime.checkpoints import Checkpoint
from vaelab.runtime.errors import UserError
from vaelab.settings import ObjectiveSettings, TrainSettings
from vaelab.training import loop as training
from vaelab.vae.device import select_precision
from vaelab.vae.model import VAE

CPU = torch.device("cpu")
OBJECTIVE = ObjectiveSettings(beta=1.0, free_bits=0.0, kl_warmup_epochs=1.5, kl_cycles=1)
TRAIN = TrainSettings(
    epochs=4,
    min_steps=0,
    batch_size=16,
    flip=True,
    optimiser="muon",
    learning_rate=2e-3,
    schedule="cosine",
    seeds=[3],
    device="cpu",
    processes=1,
    threads="auto",
    precision="auto",
)


@pytest.fixture
def images(tmp_path: Path) -> ImageArrays:
    """Blobs in three arrangements; 70 train images, which is no multiple of the batch."""
    rng = np.random.default_rng(0)
    arrangements = rng.random((3, 3, 4, 4)) > 0.5

    def draw(count: int) -> NDArray[np.uint8]:
        coarse = torch.from_numpy(arrangements[rng.integers(3, size=count)].astype(np.float64))
        fine = torch.nn.functional.interpolate(coarse, size=(16, 16), mode="bilinear")
        return (fine.numpy() * 255).astype(np.uint8)

    return image_arrays(tmp_path / "blobs", draw, {"train": 70, "val": 20, "test": 10})


def build(architecture: str, **config: Any) -> VAE:
    torch.manual_seed(3)
    return small_vae(architecture, **({"latent_dim": 5} | config))


class Stopped(Exception):
    pass


def run(
    images: ImageArrays,
    folder: Path,
    architecture: str = "conv",
    settings: TrainSettings = TRAIN,
    stop_after: int | None = None,
    seed: int = 3,
    objective: ObjectiveSettings = OBJECTIVE,
    **config: Any,
) -> tuple[training.Trained, list[training.Epoch]]:
    folder.mkdir(exist_ok=True)
    seen: list[training.Epoch] = []

    def on_epoch(epoch: training.Epoch) -> None:
        seen.append(epoch)
        if epoch.number == stop_after:
            raise Stopped

    vae = build(architecture, **config)
    checkpoint = Checkpoint(folder)
    trained = training.train(vae, images, objective, settings, seed, CPU, checkpoint, on_epoch)
    return trained, seen


def assert_same_weights(a: VAE, b: VAE) -> None:
    for (name, left), right in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(left, right), name


@pytest.mark.parametrize("architecture", ["fc", "conv"])
@pytest.mark.parametrize(("optimiser", "stop_after"), [("muon", 1), ("adam", 3)])
def test_a_stopped_run_goes_on_to_the_same_bits(
    images: ImageArrays,
    tmp_path: Path,
    architecture: str,
    optimiser: str,
    stop_after: int,
) -> None:
    settings = TRAIN.model_copy(update={"optimiser": optimiser})
    whole, _ = run(images, tmp_path / "whole", architecture, settings)
    with pytest.raises(Stopped):
        run(images, tmp_path / "cut", architecture, settings, stop_after)
    resumed, seen = run(images, tmp_path / "cut", architecture, settings)
    assert_same_weights(whole.vae, resumed.vae)
    assert whole.history == resumed.history
    # those before the stop are handed over again, for their log may have been cut off or lost
    assert [epoch.number for epoch in seen] == list(range(1, TRAIN.epochs + 1))


def test_a_checkpoint_that_does_not_fit_is_set_aside(
    images: ImageArrays, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, _ = run(images, tmp_path / "whole")
    state = Checkpoint(tmp_path / "whole").load()
    assert state is not None
    other = build("conv", latent_dim=6).state_dict()
    misfits: list[dict[str, Any]] = [
        {key: value for key, value in state.items() if key != lost} for lost in state
    ]
    misfits += [state | {"vae": other}, state | {"optimisers": []}]
    misfits += [state | {"epochs": [{"row": 1}]}, state | {"threads": "two"}]
    for number, misfit in enumerate(misfits):
        folder = tmp_path / str(number)
        Checkpoint(folder).save(misfit)
        caplog.clear()
        again, seen = run(images, folder)
        assert len([each for each in caplog.messages if "does not fit" in each]) == 1
        assert len(seen) == TRAIN.epochs
        assert_same_weights(whole.vae, again.vae)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(
    images: ImageArrays, tmp_path: Path
) -> None:
    first, _ = run(images, tmp_path / "a")
    again, _ = run(images, tmp_path / "b")
    assert_same_weights(first.vae, again.vae)
    other, _ = run(images, tmp_path / "c", seed=4)
    assert other.history[-1] != first.history[-1]


def test_nets_in_bfloat16_stay_near_those_in_float32(images: ImageArrays, tmp_path: Path) -> None:
    elbo = {}
    for precision in ("float32", "bfloat16"):
        settings = TRAIN.model_copy(update={"precision": precision})
        trained, _ = run(images, tmp_path / precision, settings=settings)
        elbo[precision] = trained.history[-1]["train_elbo"]
    assert elbo["bfloat16"] != elbo["float32"]
    assert elbo["bfloat16"] == pytest.approx(elbo["float32"], rel=1e-2)


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_automatic_precision_is_lower_only_on_a_cpu_with_matrix_units(
    units: dict[str, bool], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    assert select_precision("auto", CPU) == expected
    assert select_precision("bfloat16", CPU) == torch.bfloat16


def test_training_raises_the_bound_and_keeps_its_history(
    images: ImageArrays, tmp_path: Path
) -> None:
    settings = TRAIN.model_copy(update={"epochs": 12, "learning_rate": 5e-3})
    trained, _ = run(images, tmp_path / "long", settings=settings)
    trained.save(tmp_path / "model")
    history = pd.read_csv(tmp_path / "model" / "history.csv")
    assert list(history["epoch"]) == list(range(1, 13))
    assert history["val_elbo"].iloc[-1] > history["val_elbo"].iloc[0] + 10
    metrics = trained.metrics
    assert metrics["val_elbo"] == pytest.approx(history["val_elbo"].iloc[-1])
    assert metrics["val_elbo"] == pytest.approx(-metrics["val_reconstruction"] - metrics["val_kl"])
    assert metrics["val_psnr"] == pytest.approx(10 * np.log10(1 / metrics["val_mse"]))


def test_the_histories_of_several_seeds_are_averaged(tmp_path: Path) -> None:
    histories = [[{"epoch": 1, "val_kl": 2.0 * i}, {"epoch": 2, "val_kl": i}] for i in (1.0, 2.0)]
    training.write_history(histories, tmp_path / "r" / "history.csv")
    means = pd.read_csv(tmp_path / "r" / "history.csv")
    assert means.to_dict("list") == {"epoch": [1, 2], "val_kl": [3.0, 1.5]}


@pytest.mark.parametrize(
    ("min_steps", "epochs"),
    [(0, 4), (20, 4), (21, 5), (100, 20)],  # 70 images, 16 a step
)
def test_few_images_are_passed_over_more_often(min_steps: int, epochs: int) -> None:
    settings = TRAIN.model_copy(update={"min_steps": min_steps})
    assert training.epochs_of(70, settings) == epochs
    assert training.epochs_of(70_000, settings) == 4


def test_a_point_posterior_is_trained_on_the_distortion_alone(
    images: ImageArrays, tmp_path: Path
) -> None:
    trained, _ = run(images, tmp_path / "a", posterior="point")
    other = OBJECTIVE.model_copy(update={"beta": 50.0})
    again, _ = run(images, tmp_path / "b", objective=other, posterior="point")
    assert_same_weights(trained.vae, again.vae)
    first, last = trained.history[0], trained.history[-1]
    assert last["val_reconstruction"] < first["val_reconstruction"]
    assert last["val_kl"] == float("inf")
    trained.save(tmp_path / "model")
    assert pd.read_csv(tmp_path / "model" / "history.csv")["val_kl"].isna().all()


def test_free_bits_keep_dimensions_from_collapsing(images: ImageArrays, tmp_path: Path) -> None:
    """Under a high beta all dimensions collapse; what costs nothing is kept."""
    kl = {}
    settings = TRAIN.model_copy(update={"epochs": 24, "learning_rate": 5e-3})
    for free_bits in (0.0, 0.5):
        objective = ObjectiveSettings(
            beta=200.0, free_bits=free_bits, kl_warmup_epochs=0.0, kl_cycles=1
        )
        trained, _ = run(images, tmp_path / f"{free_bits}", settings=settings, objective=objective)
        kl[free_bits] = trained.metrics["val_kl"]
    assert kl[0.0] < 0.5
    assert kl[0.5] > 1.0


@pytest.mark.parametrize("factor", [float("nan"), 1e6])
def test_a_loss_that_is_no_number_or_explodes_stops_the_run_and_keeps_the_checkpoint(
    images: ImageArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    with pytest.raises(Stopped):
        run(images, tmp_path, stop_after=2)
    before = (tmp_path / "state.pt").read_bytes()
    elbo_terms = training.elbo_terms

    def spoilt(vae: VAE, *arguments: object, **named: object) -> object:
        terms = elbo_terms(vae, *arguments, **named)
        terms.log_likelihood.mul_(factor)
        return terms

    monkeypatch.setattr(training, "elbo_terms", spoilt)
    with pytest.raises(UserError, match=r"diverged in epoch 3, between steps 1 .*is kept"):
        run(images, tmp_path)
    assert (tmp_path / "state.pt").read_bytes() == before


def test_weights_that_give_no_finite_bound_are_no_checkpoint(
    images: ImageArrays, tmp_path: Path
) -> None:
    """The last step's loss is finite; what the step made of the weights shows on val alone."""
    settings = TRAIN.model_copy(
        update={"epochs": 1, "batch_size": 70, "learning_rate": 1e10, "schedule": "constant"}
    )
    with pytest.raises(UserError, match="in epoch 1, on the validation split"):
        run(images, tmp_path / "a", settings=settings)
    assert not (tmp_path / "a" / "state.pt").exists()


def test_what_is_senseless() -> None:
    """Ten times the raw image's nats; a narrow fixed sigma begins above those, and may."""
    images = torch.tensor([0.0, 1.0]).repeat(4, 3, 16, 8)
    raw = images[0].numel() * math.log(256)
    usual = small_vae("fc", likelihood="bernoulli")
    assert training.senseless(usual, images) == pytest.approx(10 * raw)
    narrow = small_vae("fc", likelihood="gaussian", sigma=0.01)
    each = 0.5 * (0.5 / 0.01) ** 2 + math.log(0.01) + 0.5 * math.log(2 * math.pi)
    assert training.senseless(narrow, images) == pytest.approx(10 * images[0].numel() * each)


def test_flips_mirror_half_of_the_images_left_to_right(
    images: ImageArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    originals = torch.from_numpy(np.array(images.train.images)) / 255.0
    seen: list[torch.Tensor] = []
    elbo_terms = training.elbo_terms

    def watched(vae: VAE, batch: torch.Tensor, **named: torch.Tensor) -> object:
        seen.append(batch)
        return elbo_terms(vae, batch, **named)

    monkeypatch.setattr(training, "elbo_terms", watched)
    for flip in (True, False):
        seen.clear()
        run(images, tmp_path / f"{flip}", settings=TRAIN.model_copy(update={"flip": flip}))
        shown = torch.cat(seen).flatten(1)
        known = (originals.flatten(1), originals.flip(3).flatten(1))
        as_they_are, mirrored = (
            (shown.unsqueeze(1) - each).abs().amax(2).min(1).values < 1e-6 for each in known
        )
        assert (as_they_are | mirrored).all()
        assert mirrored.float().mean() == pytest.approx(0.5 if flip else 0.0, abs=0.1)
