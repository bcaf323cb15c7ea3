"""The chapter on attributes and classes as directions of latent space."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

from vaelab.figures.common import NAMES
from vaelab.reports.common import ABSENT, Chapter, format_number, markdown_table, wrap

Row = Mapping[str, Any]
Rows = Mapping[tuple[str, str], Row]  # by direction and model
Cosines = Mapping[str, Sequence[Sequence[float | None]]]  # model -> between the chosen directions

HEADING = "Attributes and classes as directions"
NONE = (
    "These images have neither attributes nor two classes, so there is nothing to take a direction "
    "from. Sub-folders give pictures classes, and an `attributes.csv` beside them gives them "
    "attributes: `docs/datasets.md` says how."
)
TABLED = 20  # directions in the first table, at most
LARGE = 0.5  # a cosine between two directions from which it is a finding
CONFIDENCE = 1.96  # standard errors within which 95 % of AUCs lie by chance


def directions_chapter(rows: Sequence[Row], chosen: Sequence[str], cosines: Cosines) -> Chapter:
    """rows: for each direction one of each model, as Directions.rows(), none without directions;
    chosen: the names of those walked along; cosines: between these, in their order.

    The findings on walks are means over the directions that a model holds better than by chance.
    """
    if not rows:
        return Chapter(HEADING, [], wrap(NONE))
    models = list(dict.fromkeys(row["model"] for row in rows))
    by = {(row["direction"], row["model"]): row for row in rows}
    names = sorted(
        dict.fromkeys(row["direction"] for row in rows), key=lambda name: _rank(name, by)
    )
    beating = {
        model: [by[name, model] for name in chosen if _beats_chance(by[name, model])]
        for model in models
    }
    held = {model: every for model, every in beating.items() if every}
    first = [_holding(names, models, by), _chance(names, models, by)]
    findings = [
        *(first if held else reversed(first)),
        _walks(held),
        _side_effects(held),
        _arithmetic(held),
        _contamination(held, chosen, cosines),
    ]
    sections = [_held_section(names, models, by), _walk_section(chosen, models, by)]
    if any(row["mean_hit"] is not None for row in rows):
        sections.append(_arithmetic_section(chosen, models, by))
    if len(chosen) > 1:
        sections.append(_cosine_section(chosen, models, cosines))
    return Chapter(HEADING, [*filter(None, findings)], "\n\n".join(sections))


def _rank(name: str, by: Rows) -> float:
    """Falls as the mean AUC over models rises; last where there is none."""
    known = [row["auc"] for (other, _), row in by.items() if other == name and row["auc"]]
    return -sum(known) / len(known) if known else 0.0


def _chance_margin(row: Row) -> float:
    """How far from 0.5 the AUC of a score that says nothing lies in 5 % of cases.

    From the variance of the Mann-Whitney statistic where there is no difference.
    """
    inside, outside = row["test_with"], row["test_without"]
    return CONFIDENCE * math.sqrt((inside + outside + 1) / (12.0 * inside * outside))


def _beats_chance(row: Row) -> bool:
    return row["auc"] is not None and row["auc"] - 0.5 > _chance_margin(row)


def _percent(share: float | None) -> str:
    return ABSENT if share is None else f"{share:.0%}"


def _mean(rows: Sequence[Row], key: str) -> float | None:
    known = [row[key] for row in rows if row[key] is not None]
    return sum(known) / len(known) if known else None


def _other(models: Sequence[str], model: str) -> str:
    (other,) = (each for each in models if each != model)
    return NAMES[other]


# --- findings ------------------------------------------------------------------------------------


def _holding(names: Sequence[str], models: Sequence[str], by: Rows) -> str:
    parts = []
    for model in models:
        known = [by[name, model] for name in names if by[name, model]["auc"] is not None]
        if not known:
            continue
        best, worst = (pick(known, key=lambda row: row["auc"]) for pick in (max, min))
        text = f"*{best['direction']}* with an AUC of {format_number(best['auc'])}"
        if len(known) > 1:
            text = f"{text} at best and *{worst['direction']}* with {format_number(worst['auc'])}"
            text += f" at worst (mean over {len(known)}: {format_number(_mean(known, 'auc'))})"
        parts.append(f"{NAMES[model]}'s encodings hold {text}")
    return f"Along directions of means, {'; '.join(parts)}; 0.5 is chance." if parts else ""


def _chance(names: Sequence[str], models: Sequence[str], by: Rows) -> str:
    """Which are held no better than by chance."""
    lost: dict[str, list[str]] = {}  # the directions, and the models that do not hold them
    most = 0.0
    for model in models:
        rows = [by[name, model] for name in names if by[name, model]["auc"] is not None]
        within = [row for row in rows if not _beats_chance(row)]
        if within:
            which = ", ".join(f"*{row['direction']}*" for row in within)
            lost.setdefault(which, []).append(NAMES[model])
            most = max(most, *(0.5 + _chance_margin(row) for row in within))
    if not lost:
        return ""
    parts = [f"{which} ({' and '.join(them)})" for which, them in lost.items()]
    return (
        f"Within chance, which by itself reaches an AUC of {format_number(most)}, are the "
        f"directions of {'; and of '.join(parts)}: they do not hold what they are named after, "
        "and no finding on walks or arithmetic is of them."
    )


def _walks(held: Mapping[str, Sequence[Row]]) -> str:
    if not held:
        return ""
    moves = [
        f"from {format_number(start)} to {format_number(_mean(rows, 'without_forth'))} "
        f"({NAMES[model]})"
        for model, rows in held.items()
        if (start := _mean(rows, "without_start")) is not None
    ]
    taken = f"takes the mean score of images without {' and '.join(moves)}, and " if moves else ""
    return (
        f"A step on {taken}makes {_joint(held, 'share', _percent)} of the move asked for; in the "
        f"eyes of the other model's encoder it makes {_joint(held, 'share_other', _percent)}."
    )


def _side_effects(held: Mapping[str, Sequence[Row]]) -> str:
    if not held:
        return ""
    sharp = _joint(held, "sharpness", format_number)
    kept = f" and leaves {sharp} of the image's sharpness" if sharp else ""
    change = _joint(held, "change", lambda value: format_number(value, 3))
    text = f"A step on or back changes an image by {change} RMSE per pixel{kept}"
    known = [row for rows in held.values() for row in rows if row["shift"] is not None]
    if not known:
        return f"{text}."
    most = max(known, key=lambda row: row["shift"])
    text += f"; {_joint(held, 'shift', _percent)} of the squared change is one colour all over it"
    if len({row["direction"] for row in known}) > 1:
        text += f", most along *{most['direction']}*: {_percent(most['shift'])}"
        text += f" ({NAMES[most['model']]})"
    return f"{text}."


def _arithmetic(held: Mapping[str, Sequence[Row]]) -> str:
    counts = [row["averaged"] for rows in held.values() for row in rows if row["averaged"]]
    if not counts:
        return ""
    single, mean, start, real = (
        _joint(held, f"{key}_hit", _percent) for key in ("single", "mean", "start", "real")
    )
    single_change, mean_change = (
        _joint(held, f"{key}_change", format_number) for key in ("single", "mean")
    )
    return (
        f"What a − b + c gives lies nearer to the images with it in {mean} of trials with means of "
        f"{min(counts)}, and in {single} with single images, against {start} of the c's as they "
        f"were and {real} of real images with it; means change c by {mean_change} RMSE per "
        f"pixel, single images by {single_change}."
    )


def _contamination(
    held: Mapping[str, Sequence[Row]], chosen: Sequence[str], cosines: Cosines
) -> str:
    """The two directions that go together most, where that is much."""
    lengths = {model: {row["direction"]: row["length"] for row in held[model]} for model in held}
    kept = [i for i, name in enumerate(chosen) if all(name in every for every in lengths.values())]
    pairs = {
        (i, j): [cosines[model][i][j] or 0.0 for model in held] for i, j in combinations(kept, 2)
    }
    largest = max(pairs, key=lambda pair: sum(map(abs, pairs[pair])), default=None)
    if not held or largest is None or max(map(abs, pairs[largest])) < LARGE:
        return ""
    first, second = (chosen[k] for k in largest)
    steps = [
        f"{format_number(cosine * lengths[model][first] / lengths[model][second])} ({NAMES[model]})"
        for model, cosine in zip(held, pairs[largest], strict=True)
    ]
    angles = [
        f"{format_number(cosine)} ({NAMES[model]})"
        for model, cosine in zip(held, pairs[largest], strict=True)
    ]
    return (
        f"The directions of *{first}* and *{second}* are not independent: their cosine is "
        f"{' and '.join(angles)}, and a step along the first is at once {' and '.join(steps)} of a "
        "step along the second."
    )


def _joint(
    held: Mapping[str, Sequence[Row]], key: str, written: Callable[[float | None], str]
) -> str:
    """The figure's mean over each model's rows, in words; nothing where it is not known."""
    return " and ".join(
        f"{written(value)} ({NAMES[model]})"
        for model, rows in held.items()
        if (value := _mean(rows, key)) is not None
    )


# --- sections ------------------------------------------------------------------------------------


def _held_section(names: Sequence[str], models: Sequence[str], by: Rows) -> str:
    columns = ["Direction", "against", "images with", "without"]
    columns += [f"{NAMES[model]} {key}" for key in ("AUC", "length") for model in models]
    table = []
    for name in names[:TABLED]:
        row = by[name, models[0]]
        counts = [format_number(row[key]) for key in ("train_with", "train_without")]
        figures = [format_number(by[name, m][key]) for key in ("auc", "length") for m in models]
        table.append([name, row["rest"], *counts, *figures])
    left = len(names) - len(table)
    more = f" {left} more are in `latent_explore/directions.csv`." if left else ""
    text = wrap(
        "A direction goes from the mean encoding of the training images without something to the "
        "mean of those with it. The AUC says how well it holds that on the test split: the "
        "probability that an image with it lies farther along than one without; 0.5 is chance. A "
        "direction of means is not the best one to tell images apart by, only one to walk along. "
        f"The length is in units of z.{more}"
    )
    figure = ""
    if len(names) > 2:
        figure = "\n\nWalked along are those in bold.\n\n![AUC](latent_explore/directions_auc.png)"
    return f"{text}\n\n{markdown_table(table, columns)}{figure}"


def _walk_section(chosen: Sequence[str], models: Sequence[str], by: Rows) -> str:
    columns = ["Direction"]
    for model in models:
        columns += [f"{NAMES[model]} move", f"seen by {_other(models, model)}"]
        columns += ["change", "shift", "sharpness"]
    table = []
    for name in chosen:
        cells = [name]
        for model in models:
            row = by[name, model]
            cells += [_percent(row[key]) for key in ("share", "share_other")]
            cells += [format_number(row["change"], 3), _percent(row["shift"])]
            cells.append(format_number(row["sharpness"]))
        table.append(cells)
    text = wrap(
        "From real test images, by steps in units of the direction's length. What is decoded is "
        "encoded again, and its score read: 0 at the mean of those without, 1 at the mean of those "
        "with. *Move* is the share of the steps asked for that the scores show, in the eyes of the "
        "model's own encoder and, along its own direction, of the other model's. *Change* is RMSE "
        "per pixel from where the walk begins, *shift* the share of the squared change that is one "
        "colour added all over the image, and *sharpness* a share of what it is at the start; all "
        "three after one step on or back."
    )
    return f"""### Walks along them

{text}

{markdown_table(table, columns)}

![Walks along directions](latent_explore/directions.png)

Mean scores of walks from test images without and with it; in grey, the scores asked for.

![How far walks get](latent_explore/direction_scores.png)"""


def _arithmetic_section(chosen: Sequence[str], models: Sequence[str], by: Rows) -> str:
    columns = ["Direction"]
    for model in models:
        columns += [f"{NAMES[model]}: c", "single", "means", "real"]
    keys = ("start_hit", "single_hit", "mean_hit", "real_hit")
    table = [
        [name, *(_percent(by[name, model][key]) for model in models for key in keys)]
        for name in chosen
    ]
    text = wrap(
        "The encoding of an image with it, less that of an image without, plus that of another "
        "without: does what is decoded have it? The table says how often its score, once it is "
        "encoded again, is nearer to the mean with than to the mean without: of c decoded as it "
        "is, of a − b + c with single images, with means of several for a and b, and of real test "
        "images with it. What single images differ in besides comes along. In the figure four "
        "stand for the images of a mean."
    )
    return f"""### Arithmetic: a − b + c

{text}

{markdown_table(table, columns)}

![Arithmetic](latent_explore/arithmetic.png)"""


def _cosine_section(chosen: Sequence[str], models: Sequence[str], cosines: Cosines) -> str:
    table = [
        [
            name,
            *(
                " / ".join(format_number(cosines[model][i][j]) for model in models) if i < j else ""
                for j in range(1, len(chosen))
            ),
        ]
        for i, name in enumerate(chosen[:-1])
    ]
    text = wrap(
        "What goes together in the images goes together in the directions: a walk along one is a "
        "walk along all that it has a cosine with. "
        f"{' / '.join(NAMES[model] for model in models)}:"
    )
    heading = "### How independent the directions are"
    return f"{heading}\n\n{text}\n\n{markdown_table(table, ['Cosine', *chosen[1:]])}"
