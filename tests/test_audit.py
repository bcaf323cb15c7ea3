"""What `make audit` says of the auditors' answers: not looked up is not the same as safe."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

import audit

FLAW = {"id": "PYSEC-1", "fix_versions": ["2.0"], "aliases": [], "description": "bad"}
SAFE: dict[str, Any] = {"name": "a", "version": "1.0", "vulns": []}
BAD = {"name": "b", "version": "1.5", "vulns": [FLAW]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "status", "first", "last"),
    [
        ([SAFE], 0, "Known vulnerabilities of 1 locked versions: 0", "1 locked versions: 0"),
        ([SAFE, BAD], 1, "of 2 locked versions: 1", "b 1.5: PYSEC-1, mended in 2.0"),
        ([SAFE, SKIPPED], 2, "of 1 locked versions: 0", "1 packages could not be looked up (c"),
        ([BAD, SKIPPED], 1, "of 1 locked versions: 1", "1 packages could not be looked up (c"),
    ],
)
def test_what_is_found(packages: list[dict[str, Any]], status: int, first: str, last: str) -> None:
    lines, found = audit.vulnerabilities(packages)
    assert found == status
    assert first in lines[0]
    assert last in lines[-1]


def test_licences_whose_terms_are_to_be_read_are_named() -> None:
    packages = [
        {"Name": "a", "Version": "1", "License": "MIT License"},
        {"Name": "b", "Version": "2", "License": "GPLv2"},
        {"Name": "c", "Version": "3", "License": "UNKNOWN"},
    ]
    lines = audit.licences(packages)
    assert lines[0].startswith("3 packages, 1 of them")
    assert lines[1:] == ["  b 2: GPLv2", "  c 3: UNKNOWN"]


@pytest.mark.parametrize("output", ["", "no JSON", "{}"])
def test_an_auditor_that_fails_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    def fail(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, output, "first\nno network\n")

    monkeypatch.setattr(subprocess, "run", fail)
    assert audit.main() == 2
    assert capsys.readouterr().out == "Vulnerabilities could not be looked up: no network\n"
