"""The chapter on attributes and classes as directions of latent space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

from vaelab.plotting.style import NAMES
from vaelab.report.common import ABSENT, Chapter, format_number, markdown_table, wrap

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
MOSTLY = 0.5  # share of the squared change above which a step is mostly one colour
TABLE = "All of it: [directions.csv](latent_explore/directions.csv)"


def directions_chapter(rows: Sequence[Row], chosen: Sequence[str], cosines: Cosines) -> Chapter:
    """rows: for each direction one of each model, as Directions.rows(), none without directions;
    chosen: the names of those walked along; cosines: between these, in their order.

    The findings on walks are means over the directions that a model holds better than by chance;
    where no model holds any of those chosen so, there is nothing of walks at all.
    """
    if not rows:
        return Chapter(HEADING, [], wrap(NONE))
    models = list(dict.fromkeys(row["model"] for row in rows))
    by = {(row["direction"], row["model"]): row for row in rows}
    names = list(dict.fromkeys(row["direction"] for row in rows))
    if any(row["beats_chance"] for row in rows):
        names.sort(key=lambda name: _rank(name, by))
    beating = {
        model: [by[name, model] for name in chosen if by[name, model]["beats_chance"]]
        for model in models
    }
    held = {model: every for model, every in beating.items() if every}
    findings = [
        _holding(names, models, by),
        _chance(names, models, by),
        _walks(held),
        _side_effects(held),
        _shift(held, chosen),
        _arithmetic(held),
        _contamination(held, chosen, cosines),
    ]
    sections = [_held_section(names, chosen if held else [], models, by)]
    if held:
        sections.append(_walk_section(chosen, models, by))
        if any(row["mean_hit"] is not None for row in rows):
            sections.append(_arithmetic_section(chosen, models, by))
        if len(chosen) > 1:
            sections.append(_cosine_section(chosen, models, cosines))
    return Chapter(HEADING, [*filter(None, findings)], "\n\n".join(sections))


def _rank(name: str, by: Rows) -> float:
    """Falls as the mean AUC over models rises; last where there is none."""
    known = [row["auc"] for (other, _), row in by.items() if other == name and row["auc"]]
    return -sum(known) / len(known) if known else 0.0


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
    known = [name for name in names if by[name, models[0]]["auc"] is not None]
    if not any(by[name, model]["beats_chance"] for name in known for model in models):
        return ""
    best, least = ([format_number(by[known[i], m]["auc"]) for m in models] for i in (0, -1))
    named = ", ".join(f"{auc} {NAMES[model]}" for model, auc in zip(models, best, strict=True))
    if len(known) == 1:
        return f"Along the direction of means, *{known[0]}* is held (AUC {named}); chance is 0.5."
    means = [format_number(_mean([by[name, m] for name in known], "auc")) for m in models]
    return (
        f"Along directions of means, *{known[0]}* is held best (AUC {named}), *{known[-1]}* least "
        f"({', '.join(least)}); the mean of {len(known)} is {' and '.join(means)}, and chance 0.5."
    )


def _chance(names: Sequence[str], models: Sequence[str], by: Rows) -> str:
    """Which are held no better than by chance."""
    known = [by[name, model] for name in names for model in models]
    known = [row for row in known if row["auc"] is not None]
    within = [row for row in known if not row["beats_chance"]]
    if not within:
        return ""
    most = format_number(max(row["chance"] for row in within))
    if within == known:
        ends = [format_number(end(row["auc"] for row in known)) for end in (min, max)]
        return (
            f"No direction of means is held better than by chance: the AUCs are {ends[0]} to "
            f"{ends[1]}, and chance alone reaches {most}; in test images the means of those with "
            "and of those without do not lie apart along them."
        )
    lost: dict[str, list[str]] = {}  # the directions, and the models that do not hold them
    for model in models:
        which = ", ".join(f"*{row['direction']}*" for row in within if row["model"] == model)
        if which:
            lost.setdefault(which, []).append(NAMES[model])
    parts = [f"{which} ({' and '.join(them)})" for which, them in lost.items()]
    return (
        f"Within chance, which by itself reaches an AUC of {most}, are the directions of "
        f"{'; and of '.join(parts)}: in test images the means of those with and of those without "
        "do not lie apart along them, and no finding on walks or arithmetic is of them."
    )


def _walks(held: Mapping[str, Sequence[Row]]) -> str:
    if not held:
        return ""
    return (
        "Over steps from −2 to 2, from images with and without, decoded images make "
        f"{_joint(held, 'share', _percent)} of the move asked for, in the other model's eyes "
        f"{_joint(held, 'share_other', _percent, named=False)}."
    )


def _side_effects(held: Mapping[str, Sequence[Row]]) -> str:
    if not held:
        return ""
    sharp = _joint(held, "sharpness", format_number, named=False)
    kept = f" and leaves {sharp} of its sharpness" if sharp else ""
    change = _joint(held, "change", lambda value: format_number(value, 3))
    return (
        f"One step along the direction or back changes an image by {change} RMSE per pixel{kept}."
    )


def _shift(held: Mapping[str, Sequence[Row]], chosen: Sequence[str]) -> str:
    """What of a step is no shape, but one colour."""
    along: dict[str, dict[str, list[Row]]] = {}  # direction -> model -> its row, where known
    for model, rows in held.items():
        for row in rows:
            if row["shift"] is not None:
                along.setdefault(row["direction"], {})[model] = [row]
    if not along:
        return ""
    shares = {name: [row["shift"] for (row,) in each.values()] for name, each in along.items()}
    ranked = sorted(filter(along.__contains__, chosen), key=lambda name: -min(shares[name]))
    mostly = [name for name in ranked if min(shares[name]) > MOSTLY]
    if not mostly:
        text = f"{_joint(held, 'shift', _percent)} of the squared change of one step is one colour "
        text += "added all over the image"
        if len(along) > 1:
            text += f", most along *{ranked[0]}*: {_joint(along[ranked[0]], 'shift', _percent)}"
        return f"{text}."
    parts = [f"{_joint(along[name], 'shift', _percent)} along *{name}*" for name in mostly]
    what = "this direction is" if len(mostly) == 1 else "these directions are"
    text = (
        "Of the squared change of one step, one colour added all over the image is "
        f"{_listed(parts)}: {what} mostly a lightness or a tint, not a shape"
    )
    others = [share for name in ranked[len(mostly) :] for share in shares[name]]
    if others:
        text += f"; along the others it is {_percent(min(others))} to {_percent(max(others))}"
    return f"{text}."


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _arithmetic(held: Mapping[str, Sequence[Row]]) -> str:
    counts = [row["averaged"] for rows in held.values() for row in rows if row["averaged"]]
    if not counts:
        return ""
    mean = _joint(held, "mean_hit", _percent)
    single, start, real, mean_other, single_other = (
        _joint(held, key, _percent, named=False)
        for key in ("single_hit", "start_hit", "real_hit", "mean_hit_other", "single_hit_other")
    )
    mean_change, single_change = (
        _joint(held, f"{key}_change", format_number, named=False) for key in ("mean", "single")
    )
    return (
        f"What a − b + c gives is placed nearer to the images with it by the model's own encoder "
        f"in {mean} of trials with means of {min(counts)} and in {single} with single images, by "
        f"the other model's in {mean_other} and in {single_other}; the own encoder so places "
        f"{start} of the c's as they were and {real} of real images with it. Means change c by "
        f"{mean_change} RMSE per pixel, single images by {single_change}."
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
        f"{' and '.join(angles)}, and one step along the first is at once {' and '.join(steps)} of "
        "a step along the second."
    )


def _joint(
    held: Mapping[str, Sequence[Row]],
    key: str,
    written: Callable[[float | None], str],
    named: bool = True,
) -> str:
    """The figure's mean over each model's rows, in words; nothing where it is not known.

    named: with the models' names, which a sentence needs once.
    """
    return " and ".join(
        f"{written(value)} ({NAMES[model]})" if named else written(value)
        for model, rows in held.items()
        if (value := _mean(rows, key)) is not None
    )


# --- sections ------------------------------------------------------------------------------------


def _held_section(
    names: Sequence[str], walked: Sequence[str], models: Sequence[str], by: Rows
) -> str:
    """walked: those that have more than this section."""
    columns = ["Direction", "against", "images with", "without"]
    columns += [f"{NAMES[model]} {key}" for key in ("AUC", "length") for model in models]
    bold = walked if len(walked) < len(names) else []
    table = []
    for name in names[:TABLED]:
        row = by[name, models[0]]
        counts = [format_number(row[key]) for key in ("train_with", "train_without")]
        figures = [format_number(by[name, m][key]) for key in ("auc", "length") for m in models]
        title = f"**{name}**" if name in bold else name
        table.append([title, row["rest"], *counts, *figures])
    text = (
        "A direction goes from the mean encoding of the training images without something to the "
        "mean of those with it. The AUC says how well it holds that on the test split: the "
        "probability that an image with it lies farther along than one without; 0.5 is chance. "
    )
    if walked:
        text += (
            "A direction of means is not the best one to tell images apart by, only one to walk "
            "along. "
        )
    else:
        text += (
            "None that was chosen is known to be held better than by chance, so none is walked "
            "along; a classifier of all dimensions may still read something. "
        )
    text += "The length is in units of z."
    if bold:
        text += " Those in bold are walked along."
    left = len(names) - len(table)
    more = f"{left} more are not in this table. " if left else ""
    figure = "\n\n![AUC](latent_explore/directions_auc.png)" if len(names) > 2 else ""
    return f"{wrap(text)}\n\n{markdown_table(table, columns)}\n\n{more}{TABLE}.{figure}"


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
        "three after one step along the direction or back."
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
    table = []
    for name in chosen:
        cells = [name]
        for model in models:
            row = by[name, model]
            cells += [
                f"{_percent(row[f'{key}_hit'])} / {_percent(row[f'{key}_hit_other'])}"
                for key in ("start", "single", "mean")
            ]
            cells.append(_percent(row["real_hit"]))
        table.append(cells)
    text = wrap(
        "The encoding of an image with it, less that of an image without, plus that of another "
        "without: does what is decoded have it? The table says how often its score, once it is "
        "encoded again, is nearer to the mean with than to the mean without: of c decoded as it "
        "is, of a − b + c with single images, with means of several for a and b, and of real test "
        "images with it. Before the stroke by the model's own encoder, which may agree with its "
        "decoder and with nobody else, behind it by the other model's; real images by the own. "
        "What single images differ in besides comes along. In the figure four stand for the images "
        "of a mean."
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
