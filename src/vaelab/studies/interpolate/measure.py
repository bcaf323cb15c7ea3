"""What each model makes of the pairs, and all figures in one frame.

Distances are RMSE per pixel, of images in [0, 1]. Where a path does not have a figure, since its
images do not differ, the figure is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vaelab.data.arrays import UInt8Array
from vaelab.metrics.frame import frame, paired_difference, rows
from vaelab.metrics.variation import STILL, distance, sharpness
from vaelab.samplers.gaussians import Density, Mixture
from vaelab.settings import InterpolateSettings
from vaelab.studies.interpolate import paths
from vaelab.vae.inference import decode, device_of, encode
from vaelab.vae.model import VAE
from vaelab.vae.pixels import to_floats, to_uint8

CORNER_SIDE = 7  # images of a side of the grid between four

Figures = Mapping[tuple[str, str], Mapping[str, Tensor]]  # model and kind -> measure -> (P,)


@dataclass(frozen=True)
class Measured:
    """Of P paths, on the CPU."""

    figures: dict[str, Tensor]  # of `path_figures` and, from the ends to the originals, `ends`
    steps: Tensor  # (P, S - 1), in units of an even cross-fade's of the same ends
    middle: UInt8Array  # (P, C, H, W): the middle images


@dataclass(frozen=True)
class Walked:
    """What one model makes of the pairs and of the four corners."""

    shown: dict[str, UInt8Array]  # kind -> (pairs shown, S, C, H, W)
    measured: dict[str, Measured]  # kind -> of the pairs measured
    grid: UInt8Array  # (CORNER_SIDE², C, H, W)


def walk(
    vae: VAE,
    mixture: Mixture,
    shown: UInt8Array,
    measured: UInt8Array,
    corners: UInt8Array,
    settings: InterpolateSettings,
) -> Walked:
    """shown, measured: uint8 (P, 2, C, H, W), ends of pairs; corners: uint8 (4, C, H, W).

    mixture: fitted to the encodings, for their density.
    """
    device, steps, count = device_of(vae), settings.steps, len(shown)
    log_prob = Density.of(mixture, device).log_prob
    ends = np.concatenate([shown, measured])
    a, b = encode(vae, ends.reshape(-1, *ends.shape[2:])).mu.unflatten(0, (-1, 2)).unbind(1)
    start = paths.path(a, b, steps, "linear")
    relaxed = paths.geodesics(vae.decode_mean, log_prob, start.to(device), settings.relaxation)
    kinds = {"linear": start, "slerp": paths.path(a, b, steps, "slerp"), "geodesic": relaxed.z}
    found = {}
    for kind, z in kinds.items():
        found[kind] = measure_paths(paths.decoded(vae, z[count:]), measured)
        above = paths.departure_from_level(log_prob(z[count:].to(device)))
        found[kind].figures["density"] = above[:, steps // 2].cpu() / vae.latent_dim
    for kind, energy in (("linear", relaxed.before), ("geodesic", relaxed.after)):
        found[kind].figures["energy"] = energy[count:]
    return Walked(
        {
            kind: np.concatenate([to_uint8(x.numpy()) for x in paths.decoded(vae, z[:count])])
            for kind, z in kinds.items()
        },
        found,
        to_uint8(decode(vae, paths.blend(encode(vae, corners).mu, CORNER_SIDE))),
    )


def measure_paths(parts: Iterable[Tensor], originals: UInt8Array | Tensor) -> Measured:
    """parts: of P paths, in order, each (p, S, C, H, W) in [0, 1].

    originals: (P, 2, C, H, W), uint8 or in [0, 1].
    """
    figures: list[dict[str, Tensor]] = []
    steps, middles, done = [], [], 0
    for images in parts:
        ends = images[:, [0, -1]]
        own = to_floats(originals[done : done + len(images)])
        figures.append({**path_figures(images), "ends": distance(ends, own).mean(1)})
        sizes = distance(images[:, 1:], images[:, :-1])
        steps.append(_over(sizes * sizes.shape[1], distance(*ends.unbind(1))[:, None]))
        middles.append(to_uint8(images[:, images.shape[1] // 2].numpy()))
        done += len(images)
    joined = {name: torch.cat([part[name] for part in figures]) for name in figures[0]}
    return Measured(joined, torch.cat(steps), np.concatenate(middles))


def path_figures(images: Tensor) -> dict[str, Tensor]:
    """images: (P, S, C, H, W) in [0, 1]; the middle one is number S // 2, from 0. Each (P,):

    step_variation: standard deviation of a path's steps (with n: they are all) over their mean;
    detour: length over the distance between the end images, 1 where straight;
    middle_sharpness, middle_contrast: mean absolute Laplacian and standard deviation of the middle
    image's pixels, over the mean of the end images'; the mean of two unrelated pictures has about
    1 / sqrt(2) of their contrast;
    departure: distance of the middle from the end images' cross-fade, over that between these.
    """
    steps, number = distance(images[:, 1:], images[:, :-1]), images.shape[1] // 2
    spread = steps.std(1, correction=0)
    three = first, middle, last = images[:, 0], images[:, number], images[:, -1]
    straight = distance(first, last)
    fade = torch.lerp(first, last, number / (images.shape[1] - 1))
    sharp = [sharpness(each) for each in three]
    contrast = [each.flatten(1).std(1, correction=0) for each in three]
    return {
        "detour": _over(steps.sum(1), straight),
        "step_variation": _over(spread.where(spread > STILL, 0.0), steps.mean(1)),
        "middle_sharpness": _over(sharp[1], 0.5 * (sharp[0] + sharp[2])),
        "middle_contrast": _over(contrast[1], 0.5 * (contrast[0] + contrast[2])),
        "departure": _over(distance(middle, fade), straight),
    }


def summary(figures: Figures, labels: Tensor) -> pd.DataFrame:
    """Means over the pairs that have a figure, how many `pairs` there are, and as 'detour_sd' the
    standard deviation over them (with n - 1). Sources are 'slerp' and, where there are pairs of
    one class and of two, 'slerp.within' and 'slerp.across'.

    labels: (P, 2), of the pairs' images.
    """
    within = (labels[:, 0] == labels[:, 1]).numpy()
    groups = {".within": within, ".across": ~within} if 0 < within.sum() < len(within) else {}
    parts = []
    for (model, kind), known in figures.items():
        every = pd.DataFrame({name: values.double().numpy() for name, values in known.items()})
        for group, mask in ({"": within | True} | groups).items():
            own = every[mask]
            found = pd.concat([own.mean(), own.std().add_suffix("_sd")]).to_dict()
            parts.append(rows(model, {"pairs": len(own), **found}, source=kind + group))
    return frame(*parts)


def differences(figures: Figures) -> list[dict[str, Any]]:
    """Of each two paths, one - two, over the pairs, where two or more of them have the figure."""
    found = []
    for one, two in combinations(figures, 2):
        names = {"model": one[0], "source": one[1], "model_two": two[0], "source_two": two[1]}
        for measure in figures[one]:
            both = [figures[row][measure].tolist() for row in (one, two) if measure in figures[row]]
            apart = paired_difference(*both) if len(both) == 2 else None
            if apart:
                found.append(names | {"measure": measure} | apart._asdict())
    return found


def _over(value: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > STILL, value / whole, math.nan)
