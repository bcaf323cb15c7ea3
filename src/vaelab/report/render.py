"""Templates hold the sentences; this hands them numbers.

    render("compare.md.j2", facts=facts, figures=figures, ...)

In a template: `value | number(2)`; `value | show("psnr")`, with the decimals that the measure
declares; `model | label`; `rows | table(columns)`; `"image" | counted(12)`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vaelab.metrics.frame import Spread
from vaelab.metrics.measures import MEASURES
from vaelab.settings import ARCHITECTURES

ABSENT = "–"
LABELS = ARCHITECTURES | {"pca": "PCA", "mean_image": "Mean image", "data": "Real test images"}


def render(template: str, **context: Any) -> str:
    """Raises jinja2.UndefinedError where the template asks for what it was not given."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": number,
        "show": show,
        "label": label,
        "labels": lambda models: listed(map(label, models)),
        "listed": listed,
        "table": markdown_table,
        "counted": counted,
    }
    environment.globals["MEASURES"] = MEASURES
    return environment.get_template(template).render(**context)


def read_facts(file: Path) -> dict[str, Any]:
    """What a study wrote of its conditions, as runtime.outputs.write_json."""
    facts: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return facts


def number(value: float | None, decimals: int = 2) -> str:
    """12345.678 -> '12,345.68'; None -> a dash; infinity -> '∞'."""
    if value is None or value != value:
        return ABSENT
    rounded = round(value, decimals) + 0.0  # no minus before a zero
    return f"{rounded:,.{decimals}f}".replace("-", "−").replace("inf", "∞")


def show(value: float | Spread | None, measure: str) -> str:
    """By the measure's decimals; a spread as 'mean ± sd'."""
    decimals = MEASURES[measure].decimals
    if not isinstance(value, Spread):
        return number(value, decimals)
    mean = number(value.mean, decimals)
    return f"{mean} ± {number(value.sd, decimals)}" if value.sd else mean


def label(model: str) -> str:
    return LABELS.get(model, model)


def listed(texts: Iterable[str]) -> str:
    """'a, b and c'"""
    told = [text for text in texts if text]
    return " and ".join(filter(None, [", ".join(told[:-1]), *told[-1:]]))


def counted(noun: str, count: int) -> str:
    """'image' -> '12 images'"""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def markdown_table(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> str:
    """rows: their cells as text; columns: the headings. All but the first are set to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def measure_rows(
    measures: Iterable[str], cells: Mapping[str, Mapping[str, Spread | None]]
) -> list[list[str]]:
    """A row for each measure that some model has; the best cell is bold.

    cells: measure -> model -> its spread over the seeds.
    """
    rows = []
    for key in measures:
        found = cells[key]
        if not any(found.values()):
            continue
        measure = MEASURES[key]
        means = [each.mean for each in found.values() if each]
        best = (max if measure.better == "higher" else min)(means) if measure.better else None
        direction = f" ({measure.better} is better)" if measure.better else ""
        texts = [
            f"**{show(each, key)}**" if each and each.mean == best else show(each, key)
            for each in found.values()
        ]
        rows.append([measure.heading + direction, *texts])
    return rows
