"""The page of `compare`, from the study's files: which numbers, and what holds of them.

page(Path("reports/shapes"))
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from vaelab.metrics.frame import difference, mean, models_of, read_frame, spread
from vaelab.metrics.measures import MEASURES, SOURCES, best_bold, measure_rows, show
from vaelab.report.render import label, read_facts, render

ROWS = 12  # of the table, at most: the first of these that apply
CANDIDATES = (
    *("elbo", "psnr", "reconstruction", "kl", "active_units", "ssim", "probe_linear", "macs"),
    *("parameters", "iw_bound", "bits_per_dim", "probe_knn", "mutual_information"),
)
FLOORS = ("pca", "mean_image", "data")  # models that are no architectures
JUDGES = ("swd", "fid", "kid")
NEAR_MEAN = 0.5  # dB above the mean image, up to which a model has learned nothing
STEEP = 0.05  # of the whole gain in the validation ELBO: a last epoch's above it is no end
LOST = 10.0  # nats below its best, up to which the last validation ELBO is as good
LOST_SHARE = 0.01  # of the best, likewise
FEW_STEPS = 500
CLEARLY = 0.05  # a sampler that is nearer than the prior by that share is worth its trouble
COPIES = 0.5  # of real images' distance to their nearest training image: nearer is suspect


def page(folder: Path) -> str:
    """Markdown. folder: reports/D, whose `compare` holds the study's files."""
    return render("compare.md.j2", **gather(folder))


def gather(folder: Path) -> dict[str, Any]:
    """What the page is rendered from."""
    study = folder / "compare"
    figures, facts = read_frame(study / "measures.csv"), read_facts(study / "facts.json")
    models = [model for model in models_of(figures) if model not in FLOORS]
    won = verdict(figures, models)
    return {
        "facts": facts,
        "models": models,
        "value": partial(mean, figures),
        "pictures": {picture.stem for picture in study.glob("*.png")},
        "sources": SOURCES,
        "untrained": untrained(figures, models, facts),
        "overfitted": overfitted(facts),
        "verdict": won,
        **table(figures, models, won, facts["saturation"] is not None),
        **judged(figures, models),
        **findings(figures, models, facts["latent_dim"]),
    }


def untrained(
    figures: pd.DataFrame, models: Sequence[str], facts: dict[str, Any]
) -> dict[str, list[str]]:
    """Reason -> the models of which it holds; empty where all are trained."""
    nothing = _value(figures, "mean_image", "psnr") + NEAR_MEAN
    reasons = {
        "mean": [model for model in models if _value(figures, model, "psnr") < nothing],
        "steep": [model for model, course in facts["validation"].items() if _is_steep(course)],
        "steps": list(models) if facts["steps"] < FEW_STEPS else [],
    }
    return reasons if any(reasons.values()) else {}


def _is_steep(course: dict[str, float]) -> bool:
    gain = course["last"] - course["first"]
    return gain > 0.0 and course["last"] - course["before_last"] > STEEP * gain


def overfitted(facts: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Model -> the course of its validation ELBO, where it has clearly fallen since its best."""
    return {
        model: course
        for model, course in facts["validation"].items()
        if course["best"] - course["last"] > max(LOST, LOST_SHARE * abs(course["best"]))
    }


def verdict(figures: pd.DataFrame, models: Sequence[str]) -> dict[str, Any]:
    """The two best by ELBO (by PSNR where there is no bound), and what lies between them.

    `gaps`: how far the first is above the second, and the paired test over seeds, of the ELBO and
    the PSNR; `times`: the first's costs, as multiples of the second's. Both empty of one model.
    """
    score = "elbo" if mean(figures, models[0], "elbo") is not None else "psnr"
    ranked = sorted(models, key=lambda model: -_value(figures, model, score))
    first, second = ranked[0], ranked[1] if len(ranked) > 1 else None
    gaps, times = {}, {}
    if second:
        for key in dict.fromkeys((score, "psnr")):
            gap = _value(figures, first, key) - _value(figures, second, key)
            gaps[key] = {"by": gap, "test": difference(figures, first, second, key)}
        for key in ("macs", "parameters"):
            times[key] = _value(figures, first, key) / _value(figures, second, key)
    return {"score": score, "first": first, "second": second, "gaps": gaps, "times": times}


def table(
    figures: pd.DataFrame, models: Sequence[str], won: dict[str, Any], saturated: bool
) -> dict[str, Any]:
    """The measures' table, which are left to table.csv, and which differ by more than chance."""
    known = set(figures[figures["source"] == ""].dropna(subset="value")["measure"])
    wanted = [key for key in CANDIDATES if key in known]
    if saturated:
        wanted = [key for key in wanted if key != "mutual_information"]
    shown = [key for key in MEASURES if key in wanted[:ROWS]]
    columns = [*models, "pca", "mean_image"]
    cells = {key: {model: spread(figures, model, key) for model in columns} for key in shown}
    ends = won["first"], won["second"]
    tests = {
        MEASURES[key].label: difference(figures, *ends, key)
        for key in shown
        if won["second"] and MEASURES[key].better
    }
    return {
        "measures": measure_rows(shown, cells),
        "columns": ["", *map(label, columns)],
        "left_out": [MEASURES[key].label for key in MEASURES if key in known - set(shown)],
        "differ": [name for name, test in tests.items() if test and test.exceeds_chance],
        "alike": [name for name, test in tests.items() if test and not test.exceeds_chance],
    }


def judged(figures: pd.DataFrame, models: Sequence[str]) -> dict[str, Any]:
    """A row for each source of images, a column for each judge and model; real images last."""
    columns, there = [*models, "pca"], set(figures["source"])
    judges = [key for key in JUDGES if mean(figures, "data", key, "floor") is not None]
    rows = []
    for source, name in SOURCES.items():
        row = [name]
        for judge in judges:
            if source == "floor":
                row += [show(mean(figures, "data", judge, "floor"), judge)] * len(columns)
            else:
                row += best_bold(judge, [spread(figures, m, judge, source) for m in columns])
        if source in there:
            rows.append(row)
    heads = [f"{judge.upper()}, {label(model)}" for judge in judges for model in columns]
    return {"generated": rows, "generated_columns": ["", *heads], "judges": judges}


def findings(figures: pd.DataFrame, models: Sequence[str], latent_dim: int) -> dict[str, Any]:
    """What holds of the figures, for the template's conditions."""
    floor, real = _value(figures, "pca", "psnr"), _value(figures, "data", "nearest", "floor")
    copies = min(_value(figures, model, "nearest", "flow") for model in models)
    active = [mean(figures, model, "active_units") for model in models]
    return {
        "below_pca": [model for model in models if _value(figures, model, "psnr") < floor],
        "best_sampler": {model: _best_sampler(figures, model) for model in models},
        "collapsed": any(count is not None and count < latent_dim for count in active),
        "closeness": "suspect" if copies < COPIES * real else "near" if copies < real else "far",
    }


def _best_sampler(figures: pd.DataFrame, model: str) -> str:
    """The source nearest to real images; the prior where none is clearly nearer than it."""
    distances = {source: mean(figures, model, "swd", source) for source in SOURCES}
    distances.pop("reconstruction")
    known = {source: found for source, found in distances.items() if found is not None}
    nearest = min(known, key=known.__getitem__)
    return nearest if known[nearest] < (1.0 - CLEARLY) * known["prior"] else "prior"


def _value(figures: pd.DataFrame, model: str, measure: str, source: str = "") -> float:
    found = mean(figures, model, measure, source)
    assert found is not None, f"no {measure} of {model} {source}"
    return found
