"""How stages write what git keeps: text, JSON and CSV, the same bytes for the same figures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

ABSENT = "–"


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip() + "\n", encoding="utf-8")


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Indented; floats to six significant digits, null if not finite; keys in the order given."""
    text = json.dumps(round_floats(tree), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text)


def write_csv(path: Path, rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> None:
    """Floats to six significant digits; an empty cell stands for what is None or not finite."""
    path.parent.mkdir(parents=True, exist_ok=True)
    records = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows
    frame = pd.DataFrame([round_floats(dict(row)) for row in records], dtype=object)
    frame.to_csv(path, index=False, lineterminator="\n")


def round_floats(tree: Any) -> Any:
    """Every float in a tree of mappings and sequences to six significant digits, whole ones as they
    are; None where it is not finite: JSON knows neither NaN nor infinity.
    """
    if isinstance(tree, Mapping):
        return {key: round_floats(value) for key, value in tree.items()}
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [round_floats(value) for value in tree]
    if isinstance(tree, float):
        digits = tree if tree.is_integer() else float(f"{tree:.6g}")
        return digits if math.isfinite(tree) else None
    return tree


def number(value: float | None, decimals: int = 2) -> str:
    """12345.678 -> '12,345.68'; None -> a dash; infinity -> '∞'."""
    if value is None or value != value:
        return ABSENT
    rounded = round(value, decimals) + 0.0  # no minus before a zero
    return f"{rounded:,.{decimals}f}".replace("-", "−").replace("inf", "∞")


def markdown_table(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> str:
    """rows: their cells as text; columns: the headings. All but the first are set to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
