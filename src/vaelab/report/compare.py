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
FEW_STEPS = 500
CLEARLY = 0.05  # a sampler that is nearer than the prior by that share is worth its trouble
COPIES = 0.5  # of real images' distance to their nearest training image: nearer is suspect


def page(folder: Path) -> str:
    """Markdown. folder: reports/D, whose `compare` holds the study's files."""
    study = folder / "compare"
    figures, facts = read_frame(study / "measures.csv"), read_facts(study / "facts.json")
    models = [model for model in models_of(figures) if model not in FLOORS]
    return render(
        "compare.md.j2",
        facts=facts,
        models=models,
        value=partial(mean, figures),
        pictures={picture.stem for picture in study.glob("*.png")},
        untrained=untrained(figures, models, facts),
        verdict=verdict(figures, models),
        **table(figures, models, facts),
        **judged(figures, models),
        **findings(figures, models, facts["latent_dim"]),
    )


def untrained(
    figures: pd.DataFrame, models: Sequence[str], facts: dict[str, Any]
) -> dict[str, list[str]]:
    """Reason -> the models of which it holds; empty where all are trained."""
    nothing = mean(figures, "mean_image", "psnr")
    reasons = {
        "mean": [m for m in models if mean(figures, m, "psnr") < nothing + NEAR_MEAN],
        "steep": [m for m, course in facts["validation"].items() if _is_steep(**course)],
        "steps": list(models) if facts["steps"] < FEW_STEPS else [],
    }
    return {reason: found for reason, found in reasons.items() if found}


def _is_steep(first: float, before_last: float, last: float) -> bool:
    gain = last - first
    return gain > 0.0 and last - before_last > STEEP * gain


def verdict(figures: pd.DataFrame, models: Sequence[str]) -> dict[str, Any]:
    """The two best by ELBO (by PSNR where there is no bound), and what lies between them.

    `gaps`: of the ELBO and the PSNR, how far the first is above the second, and the paired test over
    seeds; `times`: of the costs, the first's to the second's. Both empty of one model.
    """
    score = "elbo" if mean(figures, models[0], "elbo") is not None else "psnr"
    first, *others = sorted(models, key=lambda model: -(mean(figures, model, score) or 0.0))
    found: dict[str, Any] = {"score": score, "first": first, "second": None, "gaps": {}}
    if others:
        second = others[0]
        for key in ("elbo", "psnr"):
            ends = mean(figures, first, key), mean(figures, second, key)
            if None not in ends:
                test = difference(figures, first, second, key)
                found["gaps"][key] = {"by": ends[0] - ends[1], "test": test}
        found["times"] = {
            key: mean(figures, first, key) / mean(figures, second, key)
            for key in ("macs", "parameters")
        }
        found["second"] = second
    return found


def table(figures: pd.DataFrame, models: Sequence[str], facts: dict[str, Any]) -> dict[str, Any]:
    """The measures' table, which are left to table.csv, and which differ by more than chance."""
    columns = [*models, "pca", "mean_image"]
    known = set(figures[figures["source"] == ""].dropna(subset="value")["measure"])
    wanted = [key for key in CANDIDATES if key in known]
    if facts["saturation"] is not None:
        wanted = [key for key in wanted if key != "mutual_information"]
    shown = [key for key in MEASURES if key in wanted[:ROWS]]
    cells = {key: {model: spread(figures, model, key) for model in columns} for key in shown}
    first, second = verdict(figures, models)["first"], verdict(figures, models)["second"]
    compared = [key for key in shown if MEASURES[key].better]
    tests = {key: second and difference(figures, first, second, key) for key in compared}
    return {
        "measures": measure_rows(shown, cells),
        "columns": ["", *map(label, columns)],
        "left_out": [MEASURES[key].label for key in MEASURES if key in known - set(shown)],
        "differ": [MEASURES[k].label for k, test in tests.items() if test and test.exceeds_chance],
        "alike": [
            MEASURES[k].label for k, test in tests.items() if test and not test.exceeds_chance
        ],
    }


def judged(figures: pd.DataFrame, models: Sequence[str]) -> dict[str, Any]:
    """A row for each source of images, a column for each judge and model; real images last."""
    columns = [*models, "pca"]
    judges = [key for key in JUDGES if mean(figures, "data", key, "floor") is not None]
    rows = []
    for source, name in SOURCES.items():
        row = []
        for judge in judges:
            if source == "floor":
                row += [show(mean(figures, "data", judge, "floor"), judge)] * len(columns)
            else:
                row += best_bold(judge, [spread(figures, m, judge, source) for m in columns])
        if source in set(figures["source"]):
            rows.append([name, *row])
    short = {"swd": "SWD", "fid": "FID", "kid": "KID"}
    heads = [f"{short[judge]}, {label(model)}" for judge in judges for model in columns]
    return {"generated": rows, "generated_columns": ["", *heads], "judges": judges}


def findings(figures: pd.DataFrame, models: Sequence[str], latent_dim: int) -> dict[str, Any]:
    """What holds of the figures, for the template's conditions."""
    value = partial(mean, figures)
    floor = value("pca", "psnr")
    best: dict[str, str] = {}
    for model in models:
        swd = {s: value(model, "swd", s) for s in SOURCES if s not in ("reconstruction", "floor")}
        known = {source: found for source, found in swd.items() if found is not None}
        nearest = min(known, key=known.__getitem__)
        clear = known[nearest] < (1.0 - CLEARLY) * known["prior"]
        best[model] = nearest if clear else "prior"
    copies = min(value(model, "nearest", "flow") for model in models)
    real = value("data", "nearest", "floor")
    return {
        "below_pca": [model for model in models if value(model, "psnr") < floor],
        "best_sampler": best,
        "collapsed": any(
            (value(m, "active_units") if value(m, "active_units") is not None else latent_dim)
            < latent_dim
            for m in models
        ),
        "closeness": "suspect" if copies < COPIES * real else "near" if copies < real else "far",
        "sources": SOURCES,
    }
