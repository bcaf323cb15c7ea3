"""The chapter on single dimensions: what each changes, which factors and classes go with which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.plotting.style import NAMES
from vaelab.report.common import ABSENT, Chapter, format_number, markdown_table, wrap
from vaelab.studies.latent.draw_dimensions import write_signed

Figures = Mapping[str, Any]
SCORES = {
    "mig": "MIG",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
    "sap": "SAP",
}
TOLD = 0.5  # R² from which a factor counts as told
MOST_CLASSES = 10  # rows of the table


def dimensions_chapter(models: Mapping[str, Figures], pairs: Figures | None) -> Chapter:
    """models: fc, conv -> the figures of one model, as follows; pairs: `pixels` and `rmse` between
    two different test images, if there are two.

    `latent_dim`; `unit` of what a dimension holds; `total`, what all hold, and `ninety`, how many
    dimensions hold 90% of it; `dimensions`: a mapping for each traversed one, with `dimension`,
    `held`, `pixels` and `rmse`; `readout`: factor -> R², empty where no factors are known;
    `scores`: those of SCORES, and `factors`, a mapping for each that varies, as of
    Disentanglement.best_dimensions: both None where not measured; `classes`: rows of best_by_class;
    `accuracy`: figures of ClassReadout, or None.
    """
    several = any(figures["classes"] or figures["accuracy"] for figures in models.values())
    known = any(figures["readout"] for figures in models.values())
    findings = [
        _scores(models) if known else "",
        _accuracies(models),
        _concentration(models),
        *(_leading(model, figures, pairs) for model, figures in models.items()),
        *(_best_read(model, figures) for model, figures in models.items()),
        *(_best_class(model, figures) for model, figures in models.items()),
    ]
    parts = [
        _traversals(models),
        _factors(models) if known else "",
        _classes(models) if several else "",
    ]
    return Chapter("Single dimensions", [*filter(None, findings)], "\n\n".join(filter(None, parts)))


def _percent(share: float) -> str:
    return f"{share:.1%}"


def write_held(value: float, unit: str) -> str:
    """A KL in hundredths of a nat; a variance, whose scale is free, in three digits."""
    return f"{format_number(value)} nats" if unit == "nats" else f"{value:.3g}"


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


# --- findings ------------------------------------------------------------------------------------


def _concentration(models: Mapping[str, Figures]) -> str:
    parts = []
    for model, figures in models.items():
        total = f"variance of mu of {figures['total']:.3g}"
        if figures["unit"] == "nats":
            total = f"KL of {format_number(figures['total'], 1)} nats"
        if figures["total"] > 0 and figures["latent_dim"] > 1:
            parts.append(
                f"of {NAMES[model]}'s {figures['latent_dim']} dimensions, {figures['ninety']} hold "
                f"90% of its {total}"
            )
    return _sentence(parts)


def _leading(model: str, figures: Figures, pairs: Figures | None) -> str:
    first, *others = figures["dimensions"]
    if first["held"] <= 0:
        return ""
    beside = (
        f"; two different test images differ so in {_percent(pairs['pixels'])} "
        f"(RMSE {format_number(pairs['rmse'], 3)})"
        if pairs
        else ""
    )
    verb = "holds" if figures["unit"] == "nats" else "has a variance of"
    text = (
        f"{NAMES[model]}'s most informative dimension, z{first['dimension']}, {verb} "
        f"{write_held(first['held'], figures['unit'])}. Moved from −2 to +2 standard "
        f"deviations it changes {_percent(first['pixels'])} of the pixels by more than a tenth of "
        f"their range (RMSE {format_number(first['rmse'], 3)}){beside}."
    )
    if others:
        most = max(others, key=lambda row: row["rmse"])
        text += (
            f" Of the {len(others)} traversed after it, z{most['dimension']} changes images most "
            f"({_percent(most['pixels'])}, RMSE {format_number(most['rmse'], 3)})."
        )
    return text


def _scores(models: Mapping[str, Figures]) -> str:
    parts = []
    for model, figures in models.items():
        scores, read = figures["scores"], _read(figures)
        if scores:
            told = sum(score >= TOLD for score in read.values())
            parts.append(
                f"all of {NAMES[model]}'s dimensions together tell {told} of {len(read)} factors "
                f"with a linear R² of at least {TOLD:g}, while its MIG, which would be 1 with a "
                f"dimension to each factor, is {format_number(scores['mig'], 3)} (SAP: "
                f"{format_number(scores['sap'], 3)})"
            )
    return _sentence(parts)


def _read(figures: Figures) -> dict[str, float]:
    """factor -> R², of the factors that vary."""
    return {name: score for name, score in figures["readout"].items() if score is not None}


def _best_read(model: str, figures: Figures) -> str:
    if not figures["factors"]:
        return ""
    read = _read(figures)
    rows = {row["factor"]: row for row in figures["factors"] if row["factor"] in read}
    if not rows:
        return ""
    row = rows[max(rows, key=lambda name: read[name])]
    text = (
        f"{NAMES[model]}: the factor that a linear map of all dimensions reads best is "
        f"{_name(row['factor'])}, with an R² of {format_number(read[row['factor']])}; the single "
        f"dimension that tells most of it, z{row['dimension']}, tells "
        f"{_percent(row['information'])} of its entropy"
    )
    if row["next"] is not None:
        text += f", the next, z{row['next']}, {_percent(row['next_information'])}"
    return f"{text} (any one dimension by chance: about {_percent(row['chance'])})."


def _best_class(model: str, figures: Figures) -> str:
    if not figures["classes"]:
        return ""
    row = figures["classes"][0]
    chance = ", no more than chance gives" if abs(row["separation"]) <= 2.0 * row["error"] else ""
    return (
        f"{NAMES[model]}: the class that a single dimension sets apart most in training images is "
        f"*{row['class']}*; in test images that dimension, z{row['dimension']}, does so by "
        f"d = {write_signed(row['separation'])} (standard error {format_number(row['error'])}"
        f"{chance})."
    )


def _accuracies(models: Mapping[str, Figures]) -> str:
    parts = []
    for model, figures in models.items():
        found = figures["accuracy"]
        if found is not None and figures["latent_dim"] > 1:
            parts.append(
                f"a linear classifier on {NAMES[model]}'s best single dimension, "
                f"z{found['dimension']}, names the class of {_percent(found['one'])} of the test "
                f"images, on all {figures['latent_dim']} that of {_percent(found['every'])} "
                f"(always the commonest: {_percent(found['chance'])})"
            )
    return _sentence(parts)


# --- the body ------------------------------------------------------------------------------------


def _traversals(models: Mapping[str, Figures]) -> str:
    explained = wrap(
        "One coordinate is set to each of seven values in turn and the others are kept: those of "
        "the mean encoding of the test split, then those of single test images. The unit is a "
        "standard deviation of that dimension's aggregated posterior, counted from its mean: "
        "encodings need not be N(0, 1), and a step of one in z would take one dimension far "
        "outside the data and hardly move another. At 3 few encodings are left, and a single "
        "coordinate so far out may make a combination that no image has. At the left the "
        "dimension's number; its mean KL over the test split or, of an autoencoder, the variance "
        "of its means; and its *pixels*: the share that changes by more than a tenth of their "
        "range in some channel from −2 to +2 standard deviations, mean over up to 64 encoded test "
        "images. RMSE is the root mean square of the change."
    )
    columns = [""]
    for model, figures in models.items():
        held = "KL, nats" if figures["unit"] == "nats" else "variance"
        columns += [f"{NAMES[model]} {column}" for column in ("z", held, "pixels", "RMSE")]
    ranks = range(max(len(figures["dimensions"]) for figures in models.values()))
    rows = []
    for rank in ranks:
        cells = [str(rank + 1)]
        for figures in models.values():
            row = figures["dimensions"][rank]
            cells += [
                f"z{row['dimension']}",
                write_held(row["held"], figures["unit"]).removesuffix(" nats"),
                _percent(row["pixels"]),
                format_number(row["rmse"], 3),
            ]
        rows.append(cells)
    return f"""### Traversals

{explained}

![Traversals from the mean encoding](latent_explore/traversals.png)

![Traversals from test images](latent_explore/traversals_images.png)

{markdown_table(rows, columns)}

All of it: [dimensions.csv](latent_explore/dimensions.csv)."""


def _factors(models: Mapping[str, Figures]) -> str:
    linear = wrap(
        "R² on the test split of a ridge regression from all of mu to each factor that the images "
        "were drawn from, fitted on the validation split: 1 is perfect, 0 no better than the mean. "
        "The shape is one-hot; angles and hues are taken by their sine and cosine, a rotation at "
        "its shape's own period."
    )
    names = list(next(iter(models.values()))["readout"])
    read = [
        [NAMES[model], *(format_number(figures["readout"][name]) for name in names)]
        for model, figures in models.items()
    ]
    text = f"""### Known factors

{linear}

{markdown_table(read, ["R²", *(name.replace("_", " ") for name in names)])}"""
    measured = {model: figures for model, figures in models.items() if figures["scores"]}
    if not measured:
        return f"{text}\n\nThe splits hold too few images for MIG, DCI and SAP."
    explained = wrap(
        "The scores below ask for more: that single dimensions hold single factors. They reward "
        "axes. A rotation of the latent space leaves the prior N(0, I) as it is and the scores "
        "not, so a low score says that a factor lies across the axes, or is not held; the table "
        "above says which. A circular factor takes two dimensions of a code without jumps, which "
        "leaves no gap between its best dimension and the next."
    )
    definitions = "\n".join(
        wrap(f"- {line}", "  ")
        for line in (
            "**MIG**: mean over the factors of the gap between the two dimensions that share most "
            "information with it, over the factor's entropy, from counts in 20 bins of mu and 10 "
            "of a factor that is a number, over validation and test images.",
            "**DCI** from forests of 50 trees that predict each factor, fitted on validation "
            "images: *disentanglement*, whether a dimension matters to one factor only; "
            "*completeness*, whether a factor hangs on one dimension only; *informativeness*, the "
            "mean R² on test images. A factor that the forest cannot predict counts in the first "
            "two as well.",
            "**SAP**: mean gap between the two dimensions that are explained best by the factor, "
            "by R².",
        )
    )
    scored = [
        [NAMES[model], *(format_number(figures["scores"][key], 3) for key in SCORES)]
        for model, figures in measured.items()
    ]
    columns = [""]
    for model in measured:
        columns += [f"{NAMES[model]} {c}" for c in ("best", "next", "forest's R²")]
    rows = []
    for ranked in zip(*(figures["factors"] for figures in measured.values()), strict=True):
        cells = [ranked[0]["factor"].replace("_", " ")]
        for row in ranked:
            cells += [_share(row["dimension"], row["information"])]
            cells += [_share(row["next"], row["next_information"]), format_number(row["forest"])]
        rows.append(cells)
    chance = max(row["chance"] for figures in measured.values() for row in figures["factors"])
    return f"""{text}

{explained}

{definitions}

{markdown_table(scored, ["", *SCORES.values()])}

{
        wrap(
            "For scale: a beta-TCVAE, which is trained for such dimensions, is reported at a MIG "
            "of about 0.50 on dSprites, of other images and factors and with the shape not counted "
            "(github.com/YannDubs/disentangling-vae, issue 64)."
        )
    }

{
        wrap(
            "The dimensions that tell most of each factor, by mutual information as a share of the "
            f"factor's entropy; any one dimension has about {_percent(chance)} or less by chance."
        )
    }

{markdown_table(rows, columns)}

{
        wrap(
            "Left of the line the most informative dimensions, right of it others that tell most "
            "of some factor; each factor's best is framed."
        )
    }

![Dimensions and factors](latent_explore/dimensions_factors.png)"""


def _share(dimension: int | None, share: float | None) -> str:
    return "–" if dimension is None or share is None else f"z{dimension}: {_percent(share)}"


def _classes(models: Mapping[str, Figures]) -> str:
    explained = wrap(
        "Cohen's d: the mean of a class's mu less that of all other classes', over their pooled "
        "standard deviation; positive where the class lies higher. For each class the dimension "
        "with the largest |d| in training images, and its d in test images, so that it is not the "
        "largest of many by chance; the standard error is that of no difference. Of two Gaussian "
        "groups at d = 1, an image of the one lies beyond an image of the other 76 times in 100. "
        "The accuracies above are of linear discriminant analysis, which takes each class for a "
        "Gaussian, all with the same covariance, and names the likeliest: on the one dimension "
        "whose classifier is best on training images, and on all of them."
    )
    best: dict[int, int] = {}  # label -> its rank by |d| in training images
    rows: dict[int, dict[str, Figures]] = {}  # label -> model -> row
    for model, figures in models.items():
        for rank, row in enumerate(figures["classes"]):
            rows.setdefault(row["label"], {})[model] = row
            best[row["label"]] = min(rank, best.get(row["label"], rank))
    shown = sorted(sorted(best, key=lambda label: (best[label], label))[:MOST_CLASSES])
    columns = ["Class", *(f"{NAMES[m]} {c}" for m in models for c in ("z", "d")), "standard error"]
    table = []
    for label in shown:
        every = rows[label]
        any_row = next(iter(every.values()))
        cells = [any_row["class"]]
        for model in models:
            row = every.get(model)
            cells += (
                [f"z{row['dimension']}", write_signed(row["separation"])] if row else [ABSENT] * 2
            )
        table.append([*cells, format_number(any_row["error"])])
    text = f"### Classes\n\n{explained}"
    if table:
        left = len(best) - len(shown)
        more = f"\n\nThe {len(shown)} set apart most of {len(best)}." if left else ""
        legend = wrap(
            "The figure is of test images. A frame marks each class's best dimension in training "
            "images; blue is a class that lies lower in the dimension than the others, red one "
            "that lies higher."
        )
        text += f"\n\n{markdown_table(table, columns)}{more}\n\n{legend}"
        text += "\n\n![Dimensions and classes](latent_explore/dimensions_classes.png)"
    return text


def _name(factor: str) -> str:
    return f"*{factor.replace('_', ' ')}*"
