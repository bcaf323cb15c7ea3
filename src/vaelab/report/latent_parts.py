"""What the page on latent space says of single dimensions and of directions: its numbers."""

from __future__ import annotations

from typing import Any

import pandas as pd

from vaelab.metrics.frame import mean, spread
from vaelab.metrics.measures import MEASURES
from vaelab.report.render import ABSENT, as_name, label, measure_rows, number, show

TOLD = 0.5  # R² from which a factor counts as read
LOST = 0.1  # R² below which a factor counts as not held
LARGE = 0.5  # a cosine from which two directions go together
SCORES = ("mig", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness")
CLASSES = ("class_one", "class_every", "class_chance")
WALK = ("auc", "walk_share", "walk_share_other", "walk_shift")
HITS = ("hit_c", "hit_single", "hit_mean", "hit_mean_other", "hit_real")


def dimensions(figures: pd.DataFrame, facts: dict[str, Any]) -> dict[str, Any]:
    """For latent_dimensions.md.j2. figures: measures.csv; facts: of studies.latent.dimensions.

    `lost`: factors that no model holds. By model: `read`, how many are TOLD, `mig`, `classes` and
    `largest`, empty where not measured; `between`, the pixels that two images differ in; rows by
    factor and by score.
    """
    models = list(facts["leading"])
    factors = list(dict.fromkeys(figures[figures["measure"] == "readout"]["source"]))
    known = {
        key: {m: value for m in models if (value := mean(figures, m, key)) is not None}
        for key in ("mig", *CLASSES)
    }
    scores = {key: {m: spread(figures, m, key) for m in models} for key in SCORES}
    pixels = figures["value"].where(figures["measure"] == "dimension_pixels")
    chance = figures[figures["measure"] == "information_chance"]["value"]
    return {
        **facts,
        "models": models,
        "factors": factors,
        "told": TOLD,
        "read": {
            m: sum((mean(figures, m, "readout", name) or 0.0) >= TOLD for name in factors)
            for m in models
        },
        "lost": [
            as_name(name)
            for name in factors
            if all((mean(figures, m, "readout", name) or 0.0) < LOST for m in models)
        ],
        "mig": known["mig"],
        "classes": {key: known[key] for key in CLASSES if known[key]},
        "largest": {m: float(pixels[figures["model"] == m].max()) for m in models},
        "between": mean(figures, "data", "dimension_pixels"),
        "chance": chance.max() if len(chance) else None,
        "columns": ["Factor", *(f"{label(m)} {what}" for m in models for what in ("R²", "best"))],
        "by_factor": [
            [
                as_name(name),
                *(cell for m in models for cell in _read(figures, facts, m, name)),
            ]
            for name in factors
        ],
        "scores": measure_rows(SCORES, scores),
    }


def _read(figures: pd.DataFrame, facts: dict[str, Any], model: str, factor: str) -> list[str]:
    """R², and the dimension that holds most of the factor, with its share."""
    cells = [show(mean(figures, model, "readout", factor), "readout")]
    best = facts["best"].get(model, {}).get(factor)
    share = mean(figures, model, "information", factor)
    return [*cells, f"z{best[0]}: {number(100 * share, 0)}%" if best and share else ABSENT]


def directions(figures: pd.DataFrame, facts: dict[str, Any]) -> dict[str, Any]:
    """For latent_directions.md.j2. figures: measures.csv; facts: of studies.latent.directions.

    `walks`: rows of the chosen directions that a model holds, under `columns`; `hits`: whether
    there is arithmetic; `together`: `closest`, where a cosine of theirs is LARGE.
    """
    if not facts["groups"]:
        return facts
    models = list(facts["held"])
    auc = figures[(figures["measure"] == "auc") & (figures["source"] != "")].dropna(subset="value")
    best = str(auc.groupby("source")["value"].mean().idxmax()) if len(auc) else None
    keys = [
        key
        for key in (*WALK, *HITS)
        if any(mean(figures, m, key, name) is not None for m in models for name in facts["chosen"])
    ]
    closest = facts["closest"]
    large = closest and max(abs(cosine) for cosine in closest["cosines"].values()) >= LARGE
    return {
        **facts,
        "models": models,
        "lowest": auc["value"].min(),
        "highest": auc["value"].max(),
        "chance": figures[figures["measure"] == "auc_chance"]["value"].max(),
        "best": best,
        "aucs": {m: mean(figures, m, "auc", best) for m in models} if best else {},
        "measured": keys,
        "columns": ["Direction", "Model", *(MEASURES[key].label for key in keys)],
        "walks": [
            [
                as_name(name),
                label(m),
                *(show(mean(figures, m, key, name), key) for key in keys),
            ]
            for name in facts["chosen"]
            for m in models
            if name in facts["held"][m]
        ],
        "together": closest if large else None,
    }
