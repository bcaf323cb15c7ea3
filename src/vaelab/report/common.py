"""What every report shares: numbers, tables, and how they are written."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

ABSENT = "–"
SAME = 0.05  # two figures within this share of the larger are called about equal
PAGE = 100  # characters in a line of prose


@dataclass(frozen=True)
class Chapter:
    """A part of a page."""

    heading: str
    findings: list[str]  # sentences made of the figures, the weightiest first
    body: str  # Markdown; its own headings begin with ###

    def markdown(self) -> str:
        """The heading, all findings but the first, which the page's top has, and the body."""
        parts = [f"## {self.heading}", bullets(self.findings[1:]), self.body.strip()]
        return "\n\n".join(filter(None, parts))


def format_number(value: float | None, decimals: int = 2) -> str:
    """12345.678 -> '12,345.68'; an int has no decimals; None -> a dash; infinity -> '∞'."""
    if value is None:
        return ABSENT
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.{decimals}f}"
    return text.replace("-", "−").replace("inf", "∞")


def compare_figures(
    value: float | None,
    other: float | None,
    readings: tuple[str, str, str],
    decimals: int = 2,
    figure: str = "",
) -> str:
    """What holds of the first beside the second, and both; nothing where one is not known.

    readings: what a larger, a smaller and an about equal figure mean; figure: its name, if shown.
    """
    if value is None or other is None:
        return ""
    numbers = " against ".join(format_number(x, decimals) for x in (value, other))
    same = abs(value - other) <= SAME * max(abs(value), abs(other))
    reading = readings[2] if same else readings[value < other]
    return f"{reading} ({f'{figure} {numbers}'.strip()})"


def wrap(text: str, indent: str = "") -> str:
    """indent: of all lines but the first. A word is never broken: Markdown would put a space in."""
    return fill(
        text, PAGE, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def bullets(texts: Iterable[str]) -> str:
    """A Markdown list."""
    return "\n".join(wrap(f"- {text}", "  ") for text in texts)


def markdown_table(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> str:
    """rows: their cells as text; columns: the headings. All but the first are set to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip() + "\n", encoding="utf-8")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """rows: mappings with the same keys, which become the header. None is an empty cell.

    So is a float that is not finite.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(round_floats(list(rows)))


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Indented; floats to six significant digits, null if not finite; keys in the order given."""
    text = json.dumps(round_floats(tree), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text)


def round_floats(tree: Any) -> Any:
    """Every float in a tree of mappings and sequences to six significant digits.

    None where it is not finite: JSON knows neither NaN nor infinity.
    """
    if isinstance(tree, Mapping):
        return {key: round_floats(value) for key, value in tree.items()}
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [round_floats(value) for value in tree]
    if isinstance(tree, float):
        return float(f"{tree:.6g}") if math.isfinite(tree) else None
    return tree
