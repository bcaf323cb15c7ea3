"""Templates hold the sentences; this hands them numbers.

    render("compare.md.j2", facts=facts, figures=figures, ...)

In a template: `value | number(2)`; `value | show("psnr")`, with the decimals that the measure
declares; `model | label`; `rows | table(columns)`; `"image" | counted(12)`; `"a_b" | name`, of what
a person named; in HTML, where what a template is given is escaped, `text | inline` for a line of
Markdown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from vaelab.data.factors import in_words
from vaelab.metrics.measures import MEASURES
from vaelab.metrics.measures import measure_rows as measure_rows
from vaelab.metrics.measures import show as show
from vaelab.runtime.outputs import ABSENT as ABSENT
from vaelab.runtime.outputs import markdown_table as markdown_table
from vaelab.runtime.outputs import number as number
from vaelab.settings import ARCHITECTURES

TEMPLATES = Path(__file__).parent / "templates"
LABELS = ARCHITECTURES | {"pca": "PCA", "mean_image": "Mean image", "data": "Real test images"}


def render(template: str, **context: Any) -> str:
    """Raises jinja2.UndefinedError where the template asks for what it was not given."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
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
        "inline": inline,
        "name": as_name,
    }
    environment.globals["MEASURES"] = MEASURES
    return environment.get_template(template).render(**context)


def read_facts(file: Path) -> dict[str, Any]:
    """What a study wrote of its conditions, as runtime.outputs.write_json."""
    facts: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return facts


def label(model: str) -> str:
    return LABELS.get(model, model)


def as_name(name: str) -> str:
    """A class, an attribute or a factor in Markdown: what a person named is shown as it is."""
    escaped = re.sub(r"[\\`*_\[\]<>|~&:]", r"\\\g<0>", in_words(name))
    return escaped.replace("$", "&#36;")  # with a backslash it would begin a formula on GitHub


def listed(texts: Iterable[str]) -> str:
    """'a, b and c'"""
    told = [text for text in texts if text]
    return " and ".join(filter(None, [", ".join(told[:-1]), *told[-1:]]))


def counted(noun: str, count: int) -> str:
    """'image' -> '12 images'"""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def inline(markdown: str) -> Markup:
    """A line with no more than `code` and **bold** in it, as HTML."""
    html = re.sub(r"`(.+?)`", r"<code>\1</code>", str(escape(markdown)))
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html))
