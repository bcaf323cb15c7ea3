"""What `make repro` runs, what it passes on of dvc's words, and what it says at its end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import repro
from vaelab.runtime.errors import UserError

PROJECT = Path(__file__).parents[1]
NAMES = [f"{stage}@{name}" for stage in ("download", "compare") for name in ("shapes", "cifar10")]
PAGE = """# FC against Conv: `shapes`

**Conv** wins by 1.2 dB
([why](../../docs/method.md)), *more* than `seed_0` explains; p(x\\|z).

| | FC |
"""


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*@shapes"], ["download@shapes", "compare@shapes"]),
        (["compare"], ["compare@shapes", "compare@cifar10"]),
        (["compare@*", "download@shapes"], ["download@shapes", *NAMES[2:]]),
    ],
)
def test_patterns_name_stages(patterns: list[str], expected: list[str]) -> None:
    assert repro.chosen(patterns, NAMES) == expected


def test_a_pattern_that_fits_no_stage_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(
        UserError, match=r"^\*@shape fits no stage: .* download, compare, .* cifar10$"
    ):
        repro.chosen(["*@shapes", "*@shape"], NAMES)


def test_a_mistyped_pattern_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(PROJECT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    subprocess.run([*repro.DVC, "init", "-q", "--no-scm"], check=True)
    assert repro.main(["--glob", "*@shape"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("*@shape fits no stage: there are download, train_fc, ")
    assert error.count("\n") == 1
    assert not Path("dvc.lock").exists()


def test_dvcs_advice_on_git_is_left_out() -> None:
    lines = [
        "Running stage 'a':\n", "> echo\n", "Updating lock file 'dvc.lock'\n", "\n",
        "Running stage 'b':\n", "\n",
        "To track the changes with git, run:\n", "\n", "\tgit add dvc.lock\n", "\n",
        "To enable auto staging, run:\n", "\n", "\tdvc config core.autostage true\n",
        "Use `dvc push` to send your updates to remote storage.\n",
    ]  # fmt: skip
    assert list(repro.without_advice(lines)) == [*lines[:3], "\nRunning stage 'b':\n"]


def test_the_verdict_is_the_first_paragraph_without_markup() -> None:
    assert repro.verdict(PAGE) == "Conv wins by 1.2 dB (why), more than seed_0 explains; p(x|z)."
    assert repro.verdict("# Title\n\n![picture](a.png)\n\n| a |\n") == ""


def test_the_end_tells_of_the_pages_of_this_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    new = ("shapes/compare.md", "shapes/index.html", "shapes/a.csv")
    for name, age in (("old/compare.md", -5), *((name, 5) for name in new)):
        path = Path("reports", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE)
        os.utime(path, (1000 + age, 1000 + age))
    written = repro.pages(since=1000)
    assert written == [Path("reports/shapes/index.html"), Path("reports/shapes/compare.md")]
    assert repro.summary(0, written) == [
        "shapes: Conv wins by 1.2 dB (why), more than seed_0 explains; p(x|z).",
        "",
        "Open in a browser: reports/shapes/index.html",
        "Read reports/shapes/compare.md",
        "See every run: make ui",
    ]
    assert repro.summary(0, [])[0] == "No page had to be written anew: reports/"


def test_the_end_names_what_is_missing_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert repro.summary(1, [])[-1].startswith("  dvc stopped before or between the stages")
    failure = Path(".vaelab/failures/download@shapes.txt")
    failure.parent.mkdir(parents=True)
    failure.write_text("no network\n")
    assert repro.summary(1, [])[-1] == "  download@shapes: no network"
    assert "no network" not in "\n".join(repro.summary(0, []))


def test_wrong_settings_are_refused_before_dvc_deletes_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (PROJECT / "params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("batch_size: 128", "batch_size: many"))
    assert repro.main([]) == 1  # dvc would say that this is no repository, and end with 253
    assert "train.batch_size is 'many'" in capsys.readouterr().err


SLOW_STAGES = """
stages:
  first:
    cmd: touch first && sleep 60
  second:
    cmd: touch second && sleep 60
"""


def test_ctrl_c_ends_repro_and_starts_no_other_stage(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text(SLOW_STAGES)
    environment = {key: text for key, text in os.environ.items() if not key.startswith("DVC_")}
    options = {"cwd": tmp_path, "env": environment | {"DVC_NO_ANALYTICS": "true"}}
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], check=True, **options)
    process = subprocess.Popen(
        [sys.executable, PROJECT / "scripts" / "repro.py"],
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    end = time.monotonic() + 60
    while not (started := [name for name in ("first", "second") if (tmp_path / name).exists()]):
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted" in output
    assert [name for name in ("first", "second") if (tmp_path / name).exists()] == started
