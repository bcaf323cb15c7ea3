"""CHANGELOG.md, CITATION.cff and pyproject.toml agree on the versions."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[1]


def test_the_version_is_the_changelogs_and_the_cited_one_is_released() -> None:
    changelog = (PROJECT / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"^## \[(.+)\] – (.+)$", changelog, re.MULTILINE)
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"].partition(".dev")[0] == versions[0][0]
    cited = yaml.safe_load((PROJECT / "CITATION.cff").read_text("utf-8"))
    assert (cited["version"], str(cited["date-released"])) in versions
    assert cited["license"] == project["license"]
