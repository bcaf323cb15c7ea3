"""How stages write what git keeps: text, JSON and CSV, the same bytes for the same figures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd


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
