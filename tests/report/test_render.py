import math
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from vaelab.report import render as module
from vaelab.report.render import counted, listed, number, render
from vaelab.runtime.outputs import markdown_table


def test_numbers() -> None:
    assert number(12345.678) == "12,345.68"
    assert number(-0.001) == "0.00"
    assert number(-1.5, 1) == "−1.5"
    assert number(None) == number(math.nan) == "–"
    assert number(math.inf) == "∞"


def test_lists_and_counts() -> None:
    assert listed(["a", "", "b", "c"]) == "a, b and c"
    assert listed(["a"]) == "a"
    assert counted("image", 1) == "1 image"
    assert counted("image", 1200) == "1,200 images"


def test_markdown_table() -> None:
    assert markdown_table([["a", "1"]], ["", "n"]) == "|  | n |\n| --- | ---: |\n| a | 1 |"


def test_a_template_that_asks_for_what_it_was_not_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.j2").write_text("{{ model | label }}: {{ value | show('psnr') }}\n")
    monkeypatch.setattr(module, "TEMPLATES", tmp_path)
    assert render("x.j2", model="fc", value=3.14159) == "FC: 3.14\n"
    with pytest.raises(UndefinedError):
        render("x.j2", model="fc")
