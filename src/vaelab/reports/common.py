"""What every report shares: numbers, tables, and how they are written."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ABSENT = "–"


def format_number(value: float | None, decimals: int = 2) -> str:
    """12345.678 -> '12,345.68'; an int has no decimals; None -> a dash."""
    if value is None:
        return ABSENT
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.{decimals}f}"
    return text.replace("-", "−")


def markdown_table(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> str:
    """rows: their cells as text; columns: the headings. All but the first are set to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip() + "\n", encoding="utf-8")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """rows: mappings with the same keys, which become the header. None is an empty cell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(round_floats(list(rows)))


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Indented; floats to six significant digits, keys in the order given."""
    write_text(path, json.dumps(round_floats(tree), indent=2, ensure_ascii=False))


def round_floats(tree: Any) -> Any:
    """Every float in a tree of mappings and sequences to six significant digits."""
    if isinstance(tree, Mapping):
        return {key: round_floats(value) for key, value in tree.items()}
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [round_floats(value) for value in tree]
    return float(f"{tree:.6g}") if isinstance(tree, float) else tree
