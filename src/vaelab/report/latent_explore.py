"""The page on latent space, of what the study `latent_explore` wrote.

Its parts `map` and `regions` are gathered here, `dimensions` and `directions` in latent_parts.py.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from vaelab.metrics.frame import read_frame
from vaelab.metrics.measures import MEASURES
from vaelab.report import latent_parts
from vaelab.report.render import label, read_facts, render, show

ByMeasure = dict[str, dict[str, float]]  # measure -> model -> value, of models that have it

TABLE = ("sharpness", "diversity", "swd", "nearest", "round_trip")
OF_REAL_ALIKE = ("sharpness", "diversity", "swd", "nearest")  # whatever the model
TREND = ("sharpness", "nearest")  # told of the density deciles
MEDIAN = 0.5


def page(folder: Path) -> str:
    """folder: reports/D. Markdown, to stand there."""
    figures = read_frame(folder / "latent_explore" / "measures.csv")
    facts = read_facts(folder / "latent_explore" / "facts.json")
    return render(
        "latent_explore.md.j2",
        facts=facts,
        map={"facts": facts["map"], "found": by_measure(figures, "encodings")},
        regions=regions_part(figures, facts["regions"]),
        dimensions=latent_parts.dimensions(figures, facts["dimensions"]),
        directions=latent_parts.directions(figures, facts["directions"]),
    )


def by_measure(figures: pd.DataFrame, source: str) -> ByMeasure:
    """Of one source; a measure that no model has is an empty mapping."""
    found: ByMeasure = defaultdict(dict)
    chosen = figures[figures["source"] == source].dropna(subset=["value"])
    columns = (chosen[column].tolist() for column in ("measure", "model", "value"))
    for measure, model, value in zip(*columns, strict=True):
        found[measure][model] = value
    return found


def regions_part(figures: pd.DataFrame, facts: dict[str, Any]) -> dict[str, Any]:
    """`shell`: the one whose quantile is nearest the median; `deciles`: the rarest first."""
    found = {region: by_measure(figures, region) for region in ("data", *facts["names"])}
    shells = [key for key in found if key.startswith("shell_")]
    shell = min(shells, key=lambda key: abs(_number(key) - MEDIAN))
    deciles = [key for key in found if key.startswith("decile_")]
    models = list(found["posterior"]["radius"])
    trend = {
        measure: {
            model: ", ".join(show(found[key][measure].get(model), measure) for key in deciles)
            for model in models
        }
        for measure in TREND
    }
    return {
        "facts": facts,
        "found": found,
        "shell": found[shell],
        "shell_percent": 100.0 * _number(shell),
        "deciles": [int(_number(key)) for key in deciles],
        "trend": trend,
        "times": times(found["prior"]["swd"], found["posterior"]["swd"]),
        "columns": ["Images", *(MEASURES[key].label for key in TABLE)],
        "rows": table_rows(found, models),
    }


def times(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    """model -> how many times the second the first is, where both are known."""
    return {model: first[model] / second[model] for model in first if second.get(model)}


def table_rows(found: dict[str, ByMeasure], models: list[str]) -> list[list[str]]:
    """Real images, then what each model decodes from encodings and from the prior."""

    def cells(region: str, model: str, measures: tuple[str, ...]) -> list[str]:
        known = (found[region][key].get(model) if key in measures else None for key in TABLE)
        return [show(value, key) for value, key in zip(known, TABLE, strict=True)]

    rows = [["Real test images", *cells("data", models[0], OF_REAL_ALIKE)]]
    for model in models:
        rows.append([f"{label(model)}, encoded test images", *cells("posterior", model, TABLE)])
        rows.append([f"{label(model)}, prior", *cells("prior", model, TABLE)])
    return rows


def _number(key: str) -> float:
    """'shell_0.5' -> 0.5"""
    return float(key.rpartition("_")[2])
