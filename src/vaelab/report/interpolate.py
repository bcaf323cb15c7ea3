"""The numbers of the page on interpolation; interpolate.md.j2 holds the sentences."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pandas as pd

from vaelab.metrics.frame import LEVEL, mean, models_of, read_frame
from vaelab.metrics.measures import MEASURES, PATH_NAMES
from vaelab.report.render import label, read_facts, render, show

OF_PATHS = ["detour", "step_variation", "middle_sharpness", "middle_contrast", "departure"]
SHOWN = [*OF_PATHS, "nearest"]  # columns of the table
NEARLY = 0.1  # departure up to which a path is called nearly a cross-fade
FADE = ("pixels", "linear")

Row = tuple[str, str]  # model and kind of path


def page(folder: Path) -> str:
    """Markdown. folder: reports/D, in which the study's files stand under interpolate/."""
    figures = Figures(folder / "interpolate")
    departures = figures.known("departure", figures.paths)
    return render(
        "interpolate.md.j2",
        dataset=folder.name,
        facts=read_facts(folder / "interpolate" / "facts.json"),
        names=PATH_NAMES,
        limit=NEARLY,
        pairs={name: figures.get("pairs", FADE, name) for name in ("all", "within", "across")},
        departures=sorted(departures.values()),
        nearly=[path_name(row) for row, value in departures.items() if value <= NEARLY],
        leaders={each: figures.leader(each) for each in ("middle_contrast", "middle_sharpness")},
        follows=figures.follows(),
        comparisons=[(two, *figures.differing(*two)) for two in combinations(figures.models, 2)],
        fade=lambda measure: show(figures.get(measure, FADE), measure),
        told=figures.told,
        columns=["Path", *(MEASURES[measure].label for measure in SHOWN)],
        rows=[
            [path_name(row), *(show(figures.get(measure, row), measure) for measure in SHOWN)]
            for row in (FADE, *figures.paths)
        ],
    )


def path_name(row: Row) -> str:
    """'FC, spherical'"""
    return "Cross-fade" if row == FADE else f"{label(row[0])}, {PATH_NAMES[row[1]].lower()}"


class Figures:
    """Means over the pairs, and which of them differ."""

    def __init__(self, folder: Path) -> None:
        self._means = read_frame(folder / "measures.csv")
        differences = pd.read_csv(folder / "differences.csv")
        keys = ["model", "source", "model_two", "source_two", "measure"]
        self._differences = differences.set_index(keys).to_dict("index")
        self.models = [model for model in models_of(self._means) if model != FADE[0]]
        self.paths = [(model, kind) for model in self.models for kind in PATH_NAMES]

    def get(self, measure: str, row: Row, group: str = "all") -> float | None:
        model, kind = row
        return mean(self._means, model, measure, kind if group == "all" else f"{kind}.{group}")

    def known(self, measure: str, rows: list[Row]) -> dict[Row, float]:
        values = {row: self.get(measure, row) for row in rows}
        return {row: value for row, value in values.items() if value is not None}

    def told(self, measure: str, kind: str) -> str:
        """'FC 1.01, Conv 0.97'"""
        values = {model: show(self.get(measure, (model, kind)), measure) for model in self.models}
        return ", ".join(f"{label(model)} {value}" for model, value in values.items())

    def effect(self, measure: str, one: Row, two: Row) -> float | None:
        """one - two in standard deviations over the pairs; 0 where chance may be all of it."""
        for sign, both in ((1.0, (*one, *two)), (-1.0, (*two, *one))):
            found = self._differences.get((*both, measure))
            if found:
                sd = found["sd"] or abs(found["mean"])  # all alike: as clear as one deviation
                return sign * found["mean"] / sd if found["p_value"] < LEVEL else 0.0
        return None

    def leader(self, measure: str) -> str:
        """The kind of path that has most of it with every model, or 'pixels'; '' where none has."""
        leading = set()
        for model in self.models:
            values = self.known(measure, [FADE, *((model, kind) for kind in PATH_NAMES)])
            first, second, *_ = [*sorted(values, key=lambda row: -values[row]), FADE, FADE]
            leads = (self.effect(measure, first, second) or 0.0) > 0.0
            leading.add(("pixels" if first == FADE else first[1]) if leads else "")
        return leading.pop() if len(leading) == 1 else ""

    def follows(self) -> int:
        """1: data-following paths depart more than linear ones with every model; -1: less; or 0."""
        pairs = [((model, "geodesic"), (model, "linear")) for model in self.models]
        effects = [self.effect("departure", *both) or 0.0 for both in pairs]
        return int(all(e > 0.0 for e in effects)) - int(all(e < 0.0 for e in effects))

    def differing(self, one: str, two: str) -> tuple[list[tuple[str, str]], int]:
        """Measures and kinds of path in which they differ, the clearest first; of how many."""
        rows = [(m, kind) for m in OF_PATHS for kind in PATH_NAMES]
        effects = {(m, kind): self.effect(m, (one, kind), (two, kind)) for m, kind in rows}
        known = {key: abs(effect) for key, effect in effects.items() if effect is not None}
        found = sorted((key for key in known if known[key]), key=lambda key: -known[key])
        return found, len(known)
