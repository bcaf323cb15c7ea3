"""The `report` stage on files that are not what the studies write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from toys import write_params

import report
from vaelab.runtime.errors import UserError


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"dataset": "to', "\x00"])
def test_a_damaged_file_is_one_line_and_no_page_is_lost(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_params()
    folder = Path("reports/toys/compare")
    folder.mkdir(parents=True)
    page = Path("reports/toys/compare.md")
    page.write_text("what was found before")
    (folder / "measures.csv").write_text("model,seed,source,measure,value\n")
    if content is not None:
        (folder / "facts.json").write_text(content)
    with pytest.raises(UserError) as caught:
        report.main("toys")
    line = r"reports/toys/compare does not hold what .*; `dvc repro -f compare@toys` writes it anew"
    assert re.fullmatch(line, str(caught.value))
    assert page.read_text() == "what was found before"
