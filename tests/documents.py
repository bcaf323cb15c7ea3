"""What stands in the fenced blocks of the project's pages."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[1]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = "$ "


def blocks(page: str, language: str) -> list[str]:
    """Of a page such as "README.md", the fenced blocks of that language; "" for none."""
    found = FENCED.findall((PROJECT / page).read_text("utf-8"))
    return [text for name, text in found if name == language]


def commands(page: str) -> list[str]:
    """Lines of the blocks without a language, or where a block has prompts, those behind them.

    Without comments; lines that a backslash joins are one.
    """
    found = []
    for block in blocks(page, ""):
        lines = block.replace("\\\n", " ").splitlines()
        prompted = [line.removeprefix(PROMPT) for line in lines if line.startswith(PROMPT)]
        bare = (re.sub(r"\s+# .*", "", line) for line in prompted or lines)
        found += [" ".join(line.split()) for line in bare if line.strip()]
    return found
