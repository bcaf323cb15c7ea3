"""The report of `compare`: its tables, and what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaelab.metrics.spread import LEVEL, PairedDifference, Spread, mean_and_sd, paired_difference
from vaelab.plotting.style import NAMES, SOURCE_NAMES
from vaelab.report.common import ABSENT, SAME, format_number, markdown_table, wrap

Row = Mapping[str, float | None]  # elbo, reconstruction, … -> value; None where it does not apply
Rows = Mapping[str, Sequence[Row]]  # model, or source of images -> a row for each seed
Judged = Mapping[str, Rows]  # model -> source of images -> a row for each seed
Table = Mapping[str, Row]  # fc, conv, pca, mean_image -> means over the seeds


@dataclass(frozen=True)
class Measure:
    name: str
    decimals: int
    better: str | None = None


MEASURES = {
    "elbo": Measure("ELBO, nats/image", 1, "higher"),
    "iw_bound": Measure("Importance-weighted bound, nats/image", 1, "higher"),
    "bits_per_dim": Measure("Bits per dimension, by that bound", 3, "lower"),
    "reconstruction": Measure(
        "Distortion −E[log p(x\\|z)] (reconstruction), nats/image", 1, "lower"
    ),
    "kl": Measure("Rate KL(q(z\\|x) ‖ p(z)) (KL), nats/image", 1),
    "mutual_information": Measure("Mutual information I(x; z), nats/image", 1),
    "marginal_kl_lower": Measure(
        "KL(q(z) ‖ p(z)) of the Gaussian like q(z), a lower bound, nats", 1
    ),
    "marginal_kl_upper": Measure("Aggregated posterior's KL(q(z) ‖ p(z)), nats/image", 1),
    "active_units": Measure("Active latent units", 0),
    "mse": Measure("MSE, pixels in [0, 1]", 5, "lower"),
    "psnr": Measure("PSNR, dB", 2, "higher"),
    "ssim": Measure("SSIM", 3, "higher"),
    "probe_linear": Measure("Accuracy of a linear probe", 3, "higher"),
    "probe_knn": Measure("Accuracy of nearest neighbours", 3, "higher"),
    "parameters": Measure("Parameters", 0),
    "macs": Measure("Multiply-accumulates, encode + decode", 0),
}
JUDGES = {
    "swd": Measure("Sliced Wasserstein distance", 1, "lower"),
    "fid": Measure("FID", 1, "lower"),
    "kid": Measure("KID", 4, "lower"),
    "nearest": Measure("Distance to the nearest training image", 3),
}
VAES = ("fc", "conv")
COPIES = 0.5  # of real images' distance to their nearest training image: nearer is suspect


@dataclass(frozen=True)
class Conditions:
    """Under what the figures were measured."""

    dataset: str
    shape: tuple[int, int, int]  # (C, H, W)
    test_images: int
    latent_dim: int
    pca_components: int
    likelihood: str
    sigma: float | None  # of a Gaussian; None: learned, or none
    proper: bool  # the likelihood is a mass on pixel values
    posterior: str  # gaussian, or point: a deterministic autoencoder
    beta: float  # the weight of the KL term at the last step
    epochs: int
    seeds: Sequence[int]
    elbo_samples: int
    iw_samples: int
    generated: int  # images of each source that are judged
    nearest_images: int  # those of them whose nearest training images are looked for
    temperature: float
    mixture_components: int
    pixel_entropy: float | None  # nats/image; only where it bounds the likelihood
    saturation: float | None  # log N of the test split, where it limits the mutual information


def compare_report(
    conditions: Conditions,
    rows: Rows,
    probes: Mapping[str, float] | None,
    judged: Judged,
    floor: Row,
    inception: str,
) -> str:
    """Markdown, to stand beside the folder of figures.

    rows: with the keys of MEASURES; fc and conv have a row for each seed, pca and mean_image one.
    probes: `linear` and `knn` on the raw pixels, and `chance`; None without labels. judged: with
    the keys of JUDGES, for fc, conv and pca; floor: the same of real test images. inception: under
    what conditions FID and KID were measured, or why they were not.
    """
    table = {model: _means(seeds) for model, seeds in rows.items()}
    generated = {
        model: {source: _means(seeds) for source, seeds in found.items()}
        for model, found in judged.items()
    }
    findings = [
        _on_bound(rows, table),
        _on_slack(conditions, table),
        _on_pixels(rows, table),
        _on_pca(conditions, table),
        _on_entropy(conditions, table),
        _on_units(conditions, table),
        _on_information(conditions, table),
        _on_samplers(generated, floor),
        _on_copies(generated, floor),
        _on_probes(table, probes),
        _on_price(table),
    ]
    listed = "\n".join(wrap(f"- {finding}", "  ") for finding in findings if finding)
    return f"""# FC against Conv: `{conditions.dataset}`, {conditions.latent_dim} latent dimensions

{wrap(_intro(conditions))}

{_measures_table(conditions, rows)}

{wrap(_notes(conditions, table))}

## Generated images, judged

{_sources(conditions, judged)}

{_judged_tables(judged, floor)}

{wrap(_judges_notes(conditions, inception))}

![Sliced Wasserstein distance by source](compare/swd.png)

{wrap(_swd_caption(conditions))}

## More than chance?

{_chance(conditions, rows, judged)}

## What the figures say

{listed}

{_pictures(conditions, "class" in judged["fc"])}
"""


# --- what was measured ---------------------------------------------------------------------------


def _intro(conditions: Conditions) -> str:
    channels, height, width = conditions.shape
    alike = (
        f"for {_count(conditions.epochs, 'epoch')} with the `{conditions.likelihood}` likelihood"
    )
    if _is_point(conditions):
        subject = "A fully connected and a convolutional autoencoder (no noise, no KL term)"
    else:
        subject = "A fully connected and a convolutional VAE"
        alike += f" and beta {conditions.beta:.3g}"
    seeds = ", ".join(map(str, conditions.seeds))
    started = (
        f"from each of the seeds {seeds}"
        if len(conditions.seeds) > 1
        else f"from one seed ({seeds})"
    )
    return (
        f"{subject}, trained alike {alike}, {started}; PCA as the linear floor, and the train "
        "split's mean image as the trivial one. Measured on "
        f"{_count(conditions.test_images, 'test image')} of {channels} × {height} × {width} that "
        "none of them has seen."
    )


def _measures_table(conditions: Conditions, rows: Rows) -> str:
    spreads = {model: mean_and_sd(seeds) for model, seeds in rows.items()}
    lines = []
    for key, measure in MEASURES.items():
        cells = {model: spread[key] for model, spread in spreads.items()}
        if any(cells.values()):
            bound = _limit(key) if conditions.saturation is not None else ""
            lines.append([measure.name + bound + _direction(measure), *_cells(cells, measure)])
    return markdown_table(lines, ["", *(NAMES[model] for model in rows)])


def _limit(key: str) -> str:
    return {"mutual_information": ", at least", "marginal_kl_upper": ", at most"}.get(key, "")


def _direction(measure: Measure) -> str:
    return f" ({measure.better} is better)" if measure.better else ""


def _cells(spreads: Mapping[str, Spread | None], measure: Measure) -> list[str]:
    """A cell for each model; the best is bold."""
    means = [spread.mean for spread in spreads.values() if spread]
    best = (max if measure.better == "higher" else min)(means) if measure.better else None
    return [
        f"**{_spread(spread, measure)}**"
        if spread and spread.mean == best
        else _spread(spread, measure)
        for spread in spreads.values()
    ]


def _spread(spread: Spread | None, measure: Measure) -> str:
    if spread is None:
        return ABSENT
    mean = format_number(spread.mean, measure.decimals)
    return f"{mean} ± {format_number(spread.sd, measure.decimals)}" if spread.sd else mean


def _notes(conditions: Conditions, table: Table) -> str:
    notes = ["The best of a row is bold."]
    if len(conditions.seeds) > 1:
        notes.append(
            f"Figures are mean ± standard deviation over the {len(conditions.seeds)} seeds, the "
            "mean alone where they agree."
        )
    if _is_point(conditions):
        notes.append(
            "A deterministic autoencoder has no bound, no rate and no information in nats; its "
            "distortion is that of its one z."
        )
    else:
        notes.append(
            "The ELBO has weight 1 on the rate and is averaged over "
            f"{_count(conditions.elbo_samples, 'draw')} of z for each image; the "
            f"importance-weighted bound takes {_count(conditions.iw_samples, 'draw')} together and "
            "is the nearer to log p(x) of the two."
        )
    if conditions.proper:
        notes.append("Bits per dimension compare with those of any model of 8-bit pixels.")
    else:
        notes.append(
            f"`{conditions.likelihood}` is no probability mass on pixel values: its nats compare "
            "with no other likelihood's, and there are no bits per dimension."
        )
    notes.append(
        "MSE, PSNR (of the mean MSE) and SSIM are of the decoded posterior mean. PCA has "
        f"{_count(conditions.pca_components, 'component')}, fitted to the train split; like the "
        "mean image it has no likelihood and no posterior. A unit is active where its posterior "
        "mean varies over the test images by more than 0.01 (variance)."
    )
    if table["fc"]["probe_linear"] is not None:
        notes.append(
            "The probes, a logistic regression and a vote of nearest neighbours, tell the classes "
            "apart from the codes: the posterior means, or PCA's components."
        )
    notes.append(
        "Seconds are of one training run on the machine that ran the stage: PCA's on its CPU."
    )
    return " ".join(notes)


def _sources(conditions: Conditions, judged: Judged) -> str:
    """What the sources of images are, as a list."""
    what = {
        "reconstruction": "test images, decoded from their posterior means",
        "prior": "z ~ N(0, I); for PCA, a Gaussian fitted to its codes",
        "tempered": f"z ~ N(0, T² I) with T = {conditions.temperature:g}",
        "mixture": (
            f"{_count(conditions.mixture_components, 'Gaussian')}, fitted together to the "
            "encodings of the train split"
        ),
        "class": (
            "a Gaussian fitted to the encodings of each class, drawn from as often as the train "
            "split has the class"
        ),
        "flow": (
            "a small net that carries N(0, I) to the encodings of the train split, learned by flow "
            "matching after the model"
        ),
    }
    return "\n".join(
        wrap(f"- *{SOURCE_NAMES[source]}*: {what[source]}.", "  ") for source in judged["fc"]
    )


def _judged_tables(judged: Judged, floor: Row) -> str:
    """A table for each judge that was asked: sources by models, real images at the foot."""
    tables = []
    for key, measure in JUDGES.items():
        if floor[key] is None:
            continue
        lines = []
        for source in judged["fc"]:
            found = {
                model: mean_and_sd(sources[source])[key] if source in sources else None
                for model, sources in judged.items()
            }
            lines.append([SOURCE_NAMES[source], *_cells(found, measure)])
        real = format_number(floor[key], measure.decimals)
        lines.append(["*Real test images*", *[real] * len(judged)])
        heading = measure.name + _direction(measure)
        tables.append(markdown_table(lines, [heading, *(NAMES[model] for model in judged)]))
    return "\n\n".join(tables)


def _judges_notes(conditions: Conditions, inception: str) -> str:
    return (
        f"{_count(conditions.generated, 'mean image')} of each source, against as many test "
        "images; *real test images* are as many others, and their distance is the floor: what "
        "images have that lack nothing. The sliced Wasserstein distance compares the distributions "
        "of patches of 7 × 7 pixels at several scales (a Laplacian pyramid), in thousandths of the "
        "real images' standard deviation; it does not see whether a whole picture makes sense. "
        f"{inception} Distances to the nearest training image are root mean squares over pixels in "
        f"[0, 1], averaged over {conditions.nearest_images:,} images of each source."
    )


def _swd_caption(conditions: Conditions) -> str:
    seeds = "" if len(conditions.seeds) == 1 else " A ring is a seed, a dot the mean of the seeds."
    return (
        "Sliced Wasserstein distance, scale by scale: fine detail in the panel of the most pixels, "
        "the coarse arrangement in that of the fewest. Further left is nearer to real images; the "
        f"dashed line is the floor.{seeds}"
    )


# --- chance --------------------------------------------------------------------------------------


def _chance(conditions: Conditions, rows: Rows, judged: Judged) -> str:
    if len(conditions.seeds) == 1:
        return wrap(
            "Nothing was tested: there is one training run of each, and what another seed could "
            "turn over is no finding. `train.seeds: [0, 1, 2]` in `params.yaml` trains three, and "
            "this section then says which differences exceed what the seeds explain."
        )
    tested = [
        (measure, paired_difference(rows["conv"], rows["fc"], key))
        for key, measure in MEASURES.items()
        if measure.better
    ]
    for source in judged["fc"]:
        swd = Measure(f"SWD of *{SOURCE_NAMES[source]}*", JUDGES["swd"].decimals, "lower")
        found = paired_difference(judged["conv"][source], judged["fc"][source], "swd")
        tested.append((swd, found))
    lines = [
        [
            measure.name + _direction(measure),
            _spread(Spread(found.mean, found.sd), measure),
            _probability(found),
            _verdict(found, measure),
        ]
        for measure, found in tested
        if found
    ]
    columns = [
        f"Conv − FC over {len(conditions.seeds)} seeds",
        "mean ± sd",
        "paired t-test",
        "beyond the seeds?",
    ]
    note = (
        "The t-test is two-sided and paired: FC and Conv of one seed see the same images in the "
        f"same order. A difference exceeds what the seeds explain where p < {LEVEL:g}; of "
        f"{len(lines)} lines, {LEVEL * len(lines):.1f} would by chance alone if nothing differed."
    )
    return f"{markdown_table(lines, columns)}\n\n{wrap(note)}"


def _probability(found: PairedDifference) -> str:
    return "p < 0.001" if found.p_value < 0.001 else f"p = {found.p_value:.3f}"


def _verdict(found: PairedDifference, measure: Measure) -> str:
    if not found.exceeds_chance:
        return "no"
    return f"yes, {'Conv' if (found.mean > 0) == (measure.better == 'higher') else 'FC'} is better"


def _tested(rows: Rows, key: str) -> str:
    """What the seeds say of the difference between FC and Conv; nothing of one seed."""
    found = paired_difference(rows["conv"], rows["fc"], key)
    if not found:
        return ""
    verdict = "exceeds" if found.exceeds_chance else "does not exceed"
    return (
        f" Over {len(rows['conv'])} seeds the difference {verdict} what the seeds explain (paired "
        f"t-test, {_probability(found)})."
    )


# --- findings ------------------------------------------------------------------------------------


def _on_bound(rows: Rows, table: Table) -> str:
    if table["fc"]["elbo"] is None:
        return ""
    first, second = _ranked(table, "elbo")
    gain, distortion, rate = (
        _value(table[first], key) - _value(table[second], key)
        for key in ("elbo", "reconstruction", "kl")
    )
    return (
        f"**The bound.** {NAMES[first]}'s ELBO is {_nats(gain)} nats/image above "
        f"{NAMES[second]}'s ({_show(table, first, 'elbo')} against {_show(table, second, 'elbo')}):"
        f" its distortion is {_nats(distortion)} nats {_side(distortion, 'higher', 'lower')} and "
        f"its rate {_nats(rate)} nats {_side(rate, 'higher', 'lower')}."
        f"{_tested(rows, 'elbo')}"
    )


def _on_slack(conditions: Conditions, table: Table) -> str:
    if table["fc"]["iw_bound"] is None:
        return ""
    gaps = {
        model: _value(table[model], "iw_bound") - _value(table[model], "elbo") for model in VAES
    }
    listed = " and ".join(f"{format_number(gaps[model], 1)} ({NAMES[model]})" for model in VAES)
    first, second = _ranked(table, "iw_bound")
    lead = _value(table[first], "iw_bound") - _value(table[second], "iw_bound")
    return (
        f"**What the ELBO leaves out.** With {_count(conditions.iw_samples, 'draw')} the "
        f"importance-weighted bound lies {listed} nats/image above the ELBO. log p(x) is above the "
        "ELBO by at least that much, the divergence of q(z|x) from the true posterior. By this "
        f"bound {NAMES[first]} is {_nats(lead)} nats/image above {NAMES[second]}."
    )


def _on_pixels(rows: Rows, table: Table) -> str:
    first, second = _ranked(table, "psnr")
    lead = _value(table[first], "psnr") - _value(table[second], "psnr")
    if not math.isfinite(lead):
        return ""
    return (
        f"**Pixels.** {NAMES[first]}'s reconstructions are {lead:.2f} dB better than "
        f"{NAMES[second]}'s ({_show(table, first, 'psnr')} against {_show(table, second, 'psnr')} "
        f"dB; SSIM {_show(table, first, 'ssim')} against {_show(table, second, 'ssim')})."
        f"{_tested(rows, 'psnr')}"
    )


def _on_pca(conditions: Conditions, table: Table) -> str:
    floor = _value(table["pca"], "psnr")
    if not math.isfinite(floor):
        return ""
    behind = {
        model: floor - _value(table[model], "psnr")
        for model in VAES
        if _value(table[model], "psnr") < floor
    }
    subject = f"PCA with {_count(conditions.pca_components, 'component')} reaches {floor:.2f} dB"
    if not behind:
        gaps = " and ".join(
            f"{_value(table[model], 'psnr') - floor:.2f} dB ({NAMES[model]})" for model in VAES
        )
        return f"**The linear floor.** {subject}; both nets reconstruct better, by {gaps}."
    gaps = " and ".join(f"{gap:.2f} dB better than {NAMES[model]}" for model, gap in behind.items())
    above = "" if len(behind) == 2 else f"; {NAMES[_other(*behind)]} is above it"
    return f"**The linear floor.** {subject}, {gaps}{above}. {_mend(conditions, table)}"


def _mend(conditions: Conditions, table: Table) -> str:
    if _is_point(conditions):
        return "More epochs or a wider net are what to try."
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
    if conditions.sigma is not None:
        return (
            f"A sigma fixed at {conditions.sigma:g} sets what an error costs; `sigma: learned` in "
            "`params.yaml` is what to try."
        )
    return (
        "PCA minimises squared error alone and pays nothing for its codes, whereas a VAE also pays "
        "for the KL term; more epochs or a wider net are what to try."
    )


def _on_entropy(conditions: Conditions, table: Table) -> str:
    entropy = conditions.pixel_entropy
    if entropy is None or table["fc"]["elbo"] is None:
        return ""
    above = " and ".join(
        f"{-_value(table[model], 'elbo') - entropy:,.1f} ({NAMES[model]})" for model in VAES
    )
    return (
        f"**The entropy floor.** Pixels are grey values, so no binary cross-entropy can fall below "
        f"their own entropy, {entropy:,.1f} nats/image on these test images. The −ELBO lies "
        f"{above} nats/image above that floor: at most this part can still be won, as codes "
        "cost nats too."
    )


def _on_units(conditions: Conditions, table: Table) -> str:
    if _is_point(conditions):
        return ""  # without noise or KL the scale of z, and so a threshold on it, means nothing
    latent_dim = conditions.latent_dim
    used = {model: _show(table, model, "active_units") for model in VAES}
    if all(_value(table[model], "active_units") == latent_dim for model in VAES):
        text = f"All {latent_dim} are active in both models."
    else:
        text = (
            f"Of {latent_dim}, {used['fc']} are active in FC and {used['conv']} in Conv; the "
            "others tell the decoder next to nothing."
        )
    mean = {model: _value(table[model], "kl") / latent_dim for model in VAES}
    return (
        f"**Latent units.** {text} A unit carries {mean['fc']:.2f} (FC) and {mean['conv']:.2f} "
        "(Conv) nats on average."
    )


def _on_information(conditions: Conditions, table: Table) -> str:
    if table["fc"]["mutual_information"] is None:
        return ""
    known, rest = (
        " and ".join(f"{_show(table, model, key)} ({NAMES[model]})" for model in VAES)
        for key in ("mutual_information", "marginal_kl_upper")
    )
    if conditions.saturation is not None:
        return (
            f"**Information.** {conditions.test_images:,} images can show at most log N = "
            f"{conditions.saturation:.1f} nats of mutual information between an image and its z. "
            f"The estimates, {known}, are therefore lower bounds, and the rest of the rate, {rest} "
            "nats of KL(q(z) ‖ p(z)), upper bounds: they do not tell how well the encodings fill "
            "the prior, which the samples do."
        )
    rates = " and ".join(f"{_show(table, model, 'kl')} ({NAMES[model]})" for model in VAES)
    return (
        f"**Information.** Of rates of {rates} nats, {known} tell which image it was; the rest, "
        f"{rest}, is by how much the encodings of all images together depart from the prior: what "
        "a draw from the prior misses."
    )


def _on_samplers(generated: Mapping[str, Table], floor: Row) -> str:
    real = _value(floor, "swd")
    texts = []
    for model in VAES:
        swd = {source: _value(row, "swd") for source, row in generated[model].items()}
        reconstructions = swd.pop("reconstruction")
        best = min(swd, key=swd.__getitem__)
        excess = swd[best] - real
        distance = (
            f"{_nats(excess)} {_side(excess, 'above', 'below')} the {_nats(real)} of real test "
            f"images; its reconstructions have {_nats(reconstructions)}"
        )
        if swd[best] > (1 - SAME) * swd["prior"]:
            best = "prior"
        if best == "prior":
            texts.append(
                f"{NAMES[model]}: no sampler comes clearly nearer to real images than the prior "
                f"(by {SAME:.0%}), at an SWD of {_nats(swd[best])}, {distance}"
            )
        else:
            texts.append(
                f"{NAMES[model]}: nearest to real images are those of *{SOURCE_NAMES[best]}*, at "
                f"an SWD of {_nats(swd[best])}, {1 - swd[best] / swd['prior']:.0%} below the "
                f"prior's {_nats(swd['prior'])} and {distance}"
            )
    pca = _nats(_value(generated["pca"]["prior"], "swd"))
    return f"**Samplers.** {'. '.join(texts)}. A Gaussian in PCA's codes has {pca}."


def _on_copies(generated: Mapping[str, Table], floor: Row) -> str:
    real = _value(floor, "nearest")
    distances = {model: _value(generated[model]["flow"], "nearest") for model in VAES}
    if min(distances.values()) < COPIES * real:
        verdict = (
            "That is less than half in at least one: look for copies in the figure below, though a "
            "blurred image also lies near many others."
        )
    elif min(distances.values()) < real:
        verdict = (
            "A copy would lie at 0; being somewhat nearer than real images is no sign of copying "
            "by itself, as a blurred image lies near many others."
        )
    else:
        verdict = "A copy would lie at 0: the samples are no nearer than unseen real images."
    listed = " and ".join(
        f"{format_number(distances[model], 3)} ({NAMES[model]})" for model in VAES
    )
    return (
        "**Memorising.** The flow is the sampler that could learn encodings by heart. Its samples "
        f"lie {listed} from their nearest training images, test images {format_number(real, 3)}. "
        f"{verdict} A mean can hide a single copy."
    )


def _on_probes(table: Table, probes: Mapping[str, float] | None) -> str:
    if probes is None:
        return ""
    texts = []
    for key, name in (("linear", "A linear probe"), ("knn", "The vote of nearest neighbours")):
        scores = {
            f"{NAMES[model]}'s codes": _value(table[model], f"probe_{key}")
            for model in (*VAES, "pca")
        }
        scores["the raw pixels"] = probes[key]
        ranked = sorted(scores.items(), key=lambda item: -item[1])
        listed = ", ".join(f"{score:.1%} from {source}" for source, score in ranked)
        texts.append(f"{name} names the class of {listed}.")
    return (
        f"**Usefulness of the codes.** {' '.join(texts)} Always naming the commonest class is "
        f"right for {probes['chance']:.1%}."
    )


def _on_price(table: Table) -> str:
    return (
        f"**The price.** {_ratio(table, 'parameters', 'parameters')}; "
        f"{_ratio(table, 'macs', 'multiply-accumulates for an image')}."
    )


def _ratio(table: Table, key: str, noun: str) -> str:
    """'FC has 3.4 times as many parameters as Conv'"""
    many, few = _ranked(table, key)
    times = _value(table[many], key) / _value(table[few], key)
    if times < 1.05:
        return f"FC and Conv have about equally many {noun}"
    return f"{NAMES[many]} has {times:.1f} times as many {noun} as {NAMES[few]}"


# --- figures -------------------------------------------------------------------------------------


def _pictures(conditions: Conditions, labelled: bool) -> str:
    """The sections that show the figures."""
    first = " The pictures below are of the first seed." if len(conditions.seeds) > 1 else ""
    lines = " A line for each seed." if len(conditions.seeds) > 1 else ""
    terms = "" if _is_point(conditions) else "−ELBO is the sum of distortion and rate. "
    sections = [
        (
            "Reconstructions",
            "reconstructions",
            "The same test images, and what each model makes of them",
            "Test images, and what comes back from each model's posterior mean and from PCA's "
            f"codes. The PSNR is that of the whole test split.{first}",
        ),
        (
            "Samples",
            "samples",
            "Images decoded from each sampler's latents",
            "Mean images of z drawn from each sampler, FC at the left and Conv at the right. Every "
            "block starts from the same draws of noise; as the two latent spaces are not aligned, "
            "images in the same place need not resemble each other.",
        ),
        (
            "Samples of each class",
            "classes",
            "Samples of each class",
            "A row for each class (the first ones, where there are many), drawn from a Gaussian "
            "fitted to the encodings of its training images, FC at the left and Conv at the right. "
            "Where rows look alike, the mean and spread of a class's encodings hold little of what "
            "makes the class.",
        ),
        (
            "Nearest training images",
            "nearest",
            "Samples, and under each the training image nearest to it",
            "Samples of each model's flow, and under each the training image that is nearest to it "
            "by the pixels' Euclidean distance. A copy would show the same picture twice.",
        ),
        (
            "Training",
            "training_curves",
            "The terms of the objective by epoch",
            "After each epoch: dashed on the train split (averaged while the weights moved; the "
            "first may lie beyond the frame), solid on the validation split. "
            f"{terms}Lower is better.{lines}",
        ),
        (
            "Where the information lies",
            "kl_by_dimension",
            "KL of each latent dimension",
            "What each latent dimension carries about an image, the largest first. Dimensions near "
            "zero have collapsed to the prior: the decoder learns nothing from them.",
        ),
    ]
    left_out = {"classes"} if not labelled else set()
    left_out |= {"kl_by_dimension"} if _is_point(conditions) else set()
    return "\n\n".join(
        f"## {heading}\n\n![{alternative}](compare/{name}.png)\n\n{wrap(caption)}"
        for heading, name, alternative, caption in sections
        if name not in left_out
    )


# --- small ---------------------------------------------------------------------------------------


def _is_point(conditions: Conditions) -> bool:
    return conditions.posterior == "point"


def _means(rows: Sequence[Row]) -> Row:
    return {key: spread.mean if spread else None for key, spread in mean_and_sd(rows).items()}


def _ranked(table: Table, key: str) -> list[str]:
    """FC and Conv, that of the larger figure first."""
    return sorted(VAES, key=lambda model: -_value(table[model], key))


def _other(model: str) -> str:
    return "conv" if model == "fc" else "fc"


def _value(row: Row, key: str) -> float:
    value = row[key]
    assert value is not None, f"no {key}"
    return value


def _side(difference: float, more: str, less: str) -> str:
    return more if difference >= 0 else less


def _show(table: Table, model: str, key: str) -> str:
    return format_number(table[model][key], MEASURES[key].decimals)


def _nats(value: float) -> str:
    return format_number(abs(value), 1)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
