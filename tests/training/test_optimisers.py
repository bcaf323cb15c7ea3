"""The optimisers' steps, and what changes with the step."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from vaelab import nets
from vaelab.settings import load_settings
from vaelab.training import optimisers

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


def test_muon_moves_a_matrix_as_far_in_every_direction() -> None:
    """Adam's step for a gradient of rank 1 is of rank 1 or so; Muon's singular values are equal."""
    vae = nets.build(nets.configure("fc", WHOLE.model, (3, 16, 16)))
    muon, adam = optimisers.build_optimisers(vae, SETTINGS)
    matrix = vae.encoder[1][0].weight  # type: ignore[index]
    before = matrix.detach().clone()
    matrix.grad = torch.randn_like(matrix) @ torch.diag(torch.logspace(0, -2, matrix.shape[1]))
    muon.step()
    step = torch.linalg.svdvals(matrix.detach() - before)
    assert step.min() > 0.4 * step.max()
    grouped = [parameter for each in (muon, adam) for parameter in each.param_groups[0]["params"]]
    assert {id(each) for each in grouped} == {id(each) for each in vae.parameters()}
    assert len(grouped) == len(list(vae.parameters()))
