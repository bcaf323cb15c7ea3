"""The optimisers' steps, and what changes with the step."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from vaelab import nets
from vaelab.settings import load_settings
from vaelab.training import optimisers
from vaelab.vae.model import VAE

WHOLE = load_settings(Path(__file__).parents[2] / "params.yaml")
SETTINGS, OBJECTIVE = WHOLE.train, WHOLE.objective


def test_the_cosine_schedule_warms_up_and_ends_near_zero() -> None:
    rates = [optimisers.learning_rate_at(step, 1000, SETTINGS) for step in range(1000)]
    peak = int(np.argmax(rates))
    assert 45 <= peak <= 55
    assert rates[peak] == pytest.approx(SETTINGS.learning_rate, rel=0.05)
    assert rates[-1] < 1e-4 * SETTINGS.learning_rate
    assert all(before < after for before, after in pairwise(rates[: peak + 1]))
    assert all(before >= after for before, after in pairwise(rates[peak:]))


def test_the_constant_schedule_is_constant() -> None:
    settings = SETTINGS.model_copy(update={"schedule": "constant"})
    rates = {optimisers.learning_rate_at(step, 100, settings) for step in range(100)}
    assert rates == {settings.learning_rate}


@pytest.mark.parametrize(
    ("cycles", "weights"),
    [
        (1, [0.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]),
        (2, [0.0, 1.0, 2.0, 3.0, 4.0] * 2),
    ],
)
def test_the_kl_weight_grows_linearly_to_beta_in_each_cycle(
    cycles: int, weights: list[float]
) -> None:
    change = {"beta": 4.0, "kl_warmup_epochs": 4.0, "kl_cycles": cycles}
    objective = OBJECTIVE.model_copy(update=change)
    assert [optimisers.beta_at(epoch, 10, objective) for epoch in range(10)] == weights
    assert optimisers.beta_at(0.5, 10, objective) == 0.5
    at_once = OBJECTIVE.model_copy(update={"kl_warmup_epochs": 0.0})
    assert optimisers.beta_at(0.0, 10, at_once) == 1.0


def built(side: int = 16, **change: object) -> tuple[VAE, list[torch.optim.Optimizer]]:
    vae = nets.build(nets.configure("conv", WHOLE.model, (3, side, side)))
    return vae, optimisers.build_optimisers(vae, SETTINGS.model_copy(update=change))


@pytest.mark.parametrize("optimiser", ["muon", "adam"])
def test_every_weight_is_moved_by_one_optimiser(optimiser: str) -> None:
    vae, built_ones = built(optimiser=optimiser)
    assert len(built_ones) == {"muon": 2, "adam": 1}[optimiser]
    moved = [
        weight for each in built_ones for group in each.param_groups for weight in group["params"]
    ]
    assert len(moved) == len(list(vae.parameters()))
    assert {id(weight) for weight in moved} == {id(weight) for weight in vae.parameters()}


@pytest.mark.parametrize("shape", [(160, 600), (600, 160), (32, 16, 4, 4)])
def test_muon_moves_a_weight_as_far_in_every_direction(shape: tuple[int, ...]) -> None:
    weight = torch.nn.Parameter(torch.randn(shape))
    before = weight.detach().clone()
    flat = torch.randn(shape).flatten(1)
    weight.grad = (flat @ torch.diag(torch.logspace(0, -2, flat.shape[1]))).view(shape)
    muon = optimisers.Muon([weight], share=3.0, momentum=0.9)
    optimisers.set_learning_rate([muon], 0.1)
    muon.step()
    moved = torch.linalg.svdvals((weight.detach() - before).flatten(1))
    torch.testing.assert_close(moved, torch.full_like(moved, 0.3), rtol=0.02, atol=0)


def test_muons_momentum_is_nesterovs() -> None:
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    muon = optimisers.Muon([weight], share=1.0, momentum=0.5)
    for gradient in (torch.diag(torch.tensor([1.0, 1.0])), torch.diag(torch.tensor([-0.5, 1.0]))):
        before, weight.grad = weight.detach().clone(), gradient
        muon.step()
    # The first entry's velocity is 0.5 * 1 - 0.5 = 0, and a step ahead of it -0.5 < 0.
    torch.testing.assert_close(weight.detach() - before, torch.diag(torch.tensor([1.0, -1.0])))


@pytest.mark.parametrize("width", [32, 64])
def test_muons_step_has_a_norm_of_the_square_root_of_outputs_by_inputs(width: int) -> None:
    """Twice as much where every second step is left out; Adam has the rest, and all biases."""
    wide = WHOLE.model.model_copy(
        update={"conv": WHOLE.model.conv.model_copy(update={"width": width})}
    )
    vae = nets.build(nets.configure("conv", wide, (3, 32, 32)))
    adam, muon = optimisers.build_optimisers(vae, SETTINGS)
    shares = {id(w): group["share"] for group in muon.param_groups for w in group["params"]}
    head, last, double = vae.encoder[-1], vae.decoder[-1], vae.decoder[2]  # type: ignore[index]
    assert shares[id(head.weight)] == pytest.approx(2 * 20 * (256 / (64 * width)) ** 0.5)
    # (4 w) -> (2 w) channels, of which an output sees 2 x 2 places.
    assert shares[id(double.conv.weight)] == pytest.approx(20 / 8**0.5)
    by_adam = {id(w) for group in adam.param_groups for w in group["params"]}
    assert {id(head.bias), id(double.bias), id(last.conv.weight)} <= by_adam


def test_a_channels_bias_is_adams_however_many_they_are() -> None:
    wide = WHOLE.model.model_copy(
        update={"conv": WHOLE.model.conv.model_copy(update={"width": 512})}
    )
    with torch.device("meta"):
        vae = nets.build(nets.configure("conv", wide, (3, 16, 16)))
    _, muon = optimisers.build_optimisers(vae, SETTINGS)
    assert all(w.ndim > 1 for group in muon.param_groups for w in group["params"])
    shares = {id(w): group["share"] for group in muon.param_groups for w in group["params"]}
    assert shares[id(vae.decoder[-1].conv.weight)] == pytest.approx(  # type: ignore[index, union-attr]
        20 * (3 / (4 * 512)) ** 0.5
    )


def test_a_step_that_is_left_out_still_gathers_its_gradient() -> None:
    each, other = (torch.nn.Parameter(torch.zeros(3, 5)) for _ in range(2))
    often = optimisers.Muon([each], share=1.0, momentum=0.0)
    seldom = optimisers.Muon([{"params": [other], "every": 2}], share=1.0, momentum=0.0)
    gradient = torch.randn(3, 5)
    for muon, weight in ((often, each), (seldom, other)):
        weight.grad = gradient.clone()
        muon.step()
    assert not other.any()
    again = optimisers.Muon([{"params": [other], "every": 2}], share=1.0, momentum=0.0)
    again.load_state_dict(seldom.state_dict())  # as a run that goes on does
    again.step()
    torch.testing.assert_close(other, each)


def test_both_ways_to_an_orthogonal_matrix_agree() -> None:
    """By eigenvalues on a CPU, by a polynomial elsewhere."""
    matrix = torch.randn(40, 300) * torch.logspace(0, -1.5, 40)[:, None]
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    torch.testing.assert_close(optimisers.orthogonal(matrix), u @ v, atol=2e-3, rtol=0)
    torch.testing.assert_close(optimisers.by_polynomial(matrix), u @ v, atol=0.1, rtol=0)
    assert optimisers.orthogonal(torch.zeros(3, 5)).isfinite().all()


def test_adams_rate_falls_with_a_large_fan_in() -> None:
    """As the steps of all weights add up in what they feed."""
    vae, (adam,) = built(side=64, optimiser="adam")
    optimisers.set_learning_rate([adam], 0.01)
    rates = {id(w): group["lr"] for group in adam.param_groups for w in group["params"]}
    head = vae.encoder[-1].weight  # type: ignore[union-attr]
    assert rates[id(head)] == pytest.approx(0.01 * 512 / 4096)
    assert rates[id(vae.encoder[0].conv.weight)] == 0.01  # type: ignore[index, union-attr]
