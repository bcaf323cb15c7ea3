"""The report of `compare`: its table, and what the table says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vaelab.figures.common import NAMES
from vaelab.reports.common import format_number, markdown_table, wrap

Row = Mapping[str, float | None]  # elbo, reconstruction, … -> value; None where it does not apply
Table = Mapping[str, Row]  # fc, conv, pca


@dataclass(frozen=True)
class Measure:
    name: str
    decimals: int
    better: str | None = None


MEASURES = {
    "elbo": Measure("ELBO, nats/image", 1, "higher"),
    "reconstruction": Measure("Reconstruction −E[log p(x\\|z)], nats/image", 1, "lower"),
    "kl": Measure("KL(q(z\\|x) ‖ p(z)), nats/image", 1),
    "mse": Measure("MSE, pixels in [0, 1]", 5, "lower"),
    "psnr": Measure("PSNR, dB", 2, "higher"),
    "ssim": Measure("SSIM", 3, "higher"),
    "active_units": Measure("Active latent units", 0),
    "parameters": Measure("Parameters", 0),
    "macs": Measure("Multiply-accumulates, encode + decode", 0),
    "seconds": Measure("Training seconds", 1),
}


@dataclass(frozen=True)
class Conditions:
    """Under what the figures were measured."""

    dataset: str
    shape: tuple[int, int, int]  # (C, H, W)
    test_images: int
    latent_dim: int
    pca_components: int
    likelihood: str
    beta: float  # the weight of the KL term at the last step
    epochs: int
    elbo_samples: int
    pixel_entropy: float | None  # nats/image; only where it bounds the likelihood


def compare_report(conditions: Conditions, table: Table) -> str:
    """Markdown, to stand beside the folder of figures."""
    channels, height, width = conditions.shape
    findings = "\n".join(wrap(f"- {finding}", "  ") for finding in _findings(conditions, table))
    intro = (
        "A fully connected and a convolutional VAE, trained alike for "
        f"{_count(conditions.epochs, 'epoch')} with the `{conditions.likelihood}` likelihood and "
        f"beta {conditions.beta:.3g}, and PCA as the linear floor; measured on "
        f"{_count(conditions.test_images, 'test image')} of {channels} × {height} × {width} that "
        "neither training nor PCA has seen. One training run of each: what another seed could turn "
        "over is no finding."
    )
    notes = (
        "The best of a row is bold. The ELBO has weight 1 on the KL term and is averaged over "
        f"{_count(conditions.elbo_samples, 'draw')} of z for each image. MSE, PSNR (of the mean "
        "MSE) and SSIM are of the decoded posterior mean. PCA has "
        f"{_count(conditions.pca_components, 'component')}, fitted to the train split; it has no "
        "likelihood and no posterior, so the bound, its terms and active units do not apply to it. "
        "A unit is active where its posterior mean varies over the test images by more than 0.01 "
        "(variance). Seconds are of the machine that ran the stage: PCA's on its CPU."
    )
    return f"""# FC against Conv: `{conditions.dataset}`, {conditions.latent_dim} latent dimensions

{wrap(intro)}

{_table(table)}

{wrap(notes)}

## What the figures say

{findings}

## Reconstructions

![The same test images, and what each model makes of them](compare/reconstructions.png)

Test images, and what comes back from each model's posterior mean and from PCA's codes. The PSNR is
that of the whole test split.

## Samples from the prior

![Images decoded from the same random latents](compare/samples.png)

Mean images of z drawn from N(0, I). Both models decode the same draws, in the same places; as the
two latent spaces are not aligned, the images need not resemble each other.

## Training

![The bound and its terms by epoch](compare/training_curves.png)

After each epoch: dashed on the train split (averaged while the weights moved), solid on the
validation split. −ELBO is the sum of the other two; lower is better.

## Where the information lies

![KL of each latent dimension](compare/kl_by_dimension.png)

What each latent dimension carries about an image, the largest first. Dimensions near zero have
collapsed to the prior: the decoder learns nothing from them.
"""


def _table(table: Table) -> str:
    rows = []
    for key, measure in MEASURES.items():
        values = {model: row[key] for model, row in table.items()}
        texts = {model: format_number(value, measure.decimals) for model, value in values.items()}
        known = [value for value in values.values() if value is not None]
        direction = ""
        if measure.better:
            best = max(known) if measure.better == "higher" else min(known)
            texts |= {model: f"**{texts[model]}**" for model in texts if values[model] == best}
            direction = f" ({measure.better} is better)"
        rows.append([measure.name + direction, *texts.values()])
    return markdown_table(rows, ["", *(NAMES[model] for model in table)])


def _findings(conditions: Conditions, table: Table) -> list[str]:
    findings = [_on_bound(table), _on_pixels(table), _on_pca(conditions, table)]
    if conditions.pixel_entropy is not None:
        findings.append(_on_entropy(conditions.pixel_entropy, table))
    findings += [_on_units(conditions.latent_dim, table), _on_price(table)]
    return [finding for finding in findings if finding]


def _on_bound(table: Table) -> str:
    gain = _value(table, "conv", "elbo") - _value(table, "fc", "elbo")
    distortion = _value(table, "fc", "reconstruction") - _value(table, "conv", "reconstruction")
    rate = _value(table, "conv", "kl") - _value(table, "fc", "kl")
    return (
        f"**The bound.** Conv {'gains' if gain >= 0 else 'loses'} {_nats(gain)} nats/image "
        f"{'over' if gain >= 0 else 'to'} FC ({_show(table, 'conv', 'elbo')} against "
        f"{_show(table, 'fc', 'elbo')}): it reconstructs {_nats(distortion)} nats "
        f"{'better' if distortion >= 0 else 'worse'} and spends {_nats(rate)} nats "
        f"{'more' if rate >= 0 else 'less'} on the KL term."
    )


def _on_pixels(table: Table) -> str:
    lead = _value(table, "conv", "psnr") - _value(table, "fc", "psnr")
    if not math.isfinite(lead):
        return ""
    return (
        f"**Pixels.** Conv's reconstructions are {abs(lead):.2f} dB "
        f"{'above' if lead >= 0 else 'below'} FC's ({_show(table, 'conv', 'psnr')} against "
        f"{_show(table, 'fc', 'psnr')} dB; SSIM {_show(table, 'conv', 'ssim')} against "
        f"{_show(table, 'fc', 'ssim')})."
    )


def _on_pca(conditions: Conditions, table: Table) -> str:
    floor = _value(table, "pca", "psnr")
    if not math.isfinite(floor):
        return ""
    behind = {
        model: floor - _value(table, model, "psnr")
        for model in ("fc", "conv")
        if _value(table, model, "psnr") < floor
    }
    subject = f"PCA with {_count(conditions.pca_components, 'component')} reaches {floor:.2f} dB"
    if not behind:
        return f"**The linear floor.** {subject}; both nets reconstruct better."
    gaps = " and ".join(f"{gap:.2f} dB better than {NAMES[model]}" for model, gap in behind.items())
    above = "" if len(behind) == 2 else f"; {NAMES[_other(*behind)]} is above it"
    return f"**The linear floor.** {subject}, {gaps}{above}. {_mend(conditions, table)}"


def _mend(conditions: Conditions, table: Table) -> str:
    if conditions.beta > 1:
        return (
            f"With beta {conditions.beta:.3g} a nat of KL weighs more than a nat of pixels; "
            "`objective.beta: 1.0` in `params.yaml` is the first thing to try."
        )
    if conditions.likelihood == "bernoulli":
        return (
            "Near its best, binary cross-entropy charges an error in a pixel of value p as a "
            "Gaussian of variance p(1 − p) would, a standard deviation of up to half the range of "
            "the pixels: detail gains few nats, so the codes carry no more than "
            f"{_show(table, 'fc', 'kl')} (FC) and {_show(table, 'conv', 'kl')} (Conv) of them. "
            "`likelihood: gaussian` in `params.yaml` learns the size of the errors instead, and is "
            "what to try."
        )
    return (
        "PCA minimises squared error alone and pays nothing for its codes, whereas a VAE also pays "
        "for the KL term; more epochs or a wider net are what to try."
    )


def _on_entropy(entropy: float, table: Table) -> str:
    above = " and ".join(
        f"{-_value(table, model, 'elbo') - entropy:,.1f} ({NAMES[model]})"
        for model in ("fc", "conv")
    )
    return (
        f"**The entropy floor.** Pixels are grey values, so no binary cross-entropy can fall below "
        f"their own entropy, {entropy:,.1f} nats/image on these test images. The −ELBO lies "
        f"{above} nats/image above that floor: at most this part can still be won, as codes "
        "cost nats too."
    )


def _on_units(latent_dim: int, table: Table) -> str:
    used = {model: int(_value(table, model, "active_units")) for model in ("fc", "conv")}
    mean = {model: _value(table, model, "kl") / latent_dim for model in used}
    if all(count == latent_dim for count in used.values()):
        text = f"All {latent_dim} are active in both models"
    else:
        text = (
            f"Of {latent_dim}, {used['fc']} are active in FC and {used['conv']} in Conv; the "
            "others tell the decoder next to nothing"
        )
    return (
        f"**Latent units.** {text}. A unit carries {mean['fc']:.2f} (FC) and {mean['conv']:.2f} "
        "(Conv) nats on average."
    )


def _on_price(table: Table) -> str:
    seconds = {model: _show(table, model, "seconds") for model in ("fc", "conv")}
    return (
        f"**The price.** {_ratio(table, 'parameters', 'parameters')}; "
        f"{_ratio(table, 'macs', 'multiply-accumulates for an image')}. Training took "
        f"{seconds['fc']} s (FC) and {seconds['conv']} s (Conv)."
    )


def _ratio(table: Table, key: str, noun: str) -> str:
    """'FC has 3.4 times as many parameters as Conv'"""
    few, many = sorted(("fc", "conv"), key=lambda model: _value(table, model, key))
    times = _value(table, many, key) / _value(table, few, key)
    if times < 1.05:
        return f"FC and Conv have about equally many {noun}"
    return f"{NAMES[many]} has {times:.1f} times as many {noun} as {NAMES[few]}"


def _other(model: str) -> str:
    return "conv" if model == "fc" else "fc"


def _value(table: Table, model: str, key: str) -> float:
    value = table[model][key]
    assert value is not None, f"{model} has no {key}"
    return value


def _show(table: Table, model: str, key: str) -> str:
    return format_number(table[model][key], MEASURES[key].decimals)


def _nats(value: float) -> str:
    return format_number(abs(value), 1)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
