"""What `make repro` runs, what it passes on of dvc's words, and what it says at its end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import checkout
import psutil
import pytest

import repro
from vaelab import checks
from vaelab.runtime import tracking
from vaelab.runtime.errors import UserError
from vaelab.settings import load_settings

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


def test_the_end_tells_of_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("compare.md", "index.html", "a.csv"):
        path = Path("reports", "shapes", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE)
    assert repro.summary(0, [*repro.pages()]) == [
        "shapes: Conv wins by 1.2 dB (why), more than seed_0 explains; p(x|z).",
        "",
        "Open in a browser: reports/shapes/index.html",
        "Read reports/shapes/compare.md",
        "See every run: make ui",
    ]
    assert repro.summary(0, [])[0] == "No page has changed: reports/"


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


OF_SHAPES = "stages:\n  {}: {{foreach: [shapes], do: {}}}\n  {}: {{foreach: [shapes], do: {}}}\n"
STAGES = OF_SHAPES.format(
    "first", "{cmd: touch first && sleep 60}", "second", "{cmd: touch second && sleep 60}"
)
PAGES = OF_SHAPES.format(
    "download", "{cmd: mkdir -p reports/new && echo new > reports/new/a.md, outs: [reports/new]}",
    "failing", "{cmd: exit 3}",
)  # fmt: skip
MODEL = "stages:\n  compare: {foreach: [shapes], do: {cmd: echo 1 > model, outs: [model]}}\n"


def prepared(root: Path, stages: str, git: bool = False) -> dict[str, str]:
    """A folder with params.yaml and these stages; the environment to run them in."""
    shutil.copy(PROJECT / "params.yaml", root)
    (root / "dvc.yaml").write_text(stages)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (root / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    if git:
        subprocess.run(["git", "init", "--quiet", root], check=True)
    return {key: text for key, text in os.environ.items() if not key.startswith("DVC_")}


def started(root: Path, environment: dict[str, str]) -> tuple[subprocess.Popen[str], list[str]]:
    """The runner, and which of STAGES it has started."""
    process = subprocess.Popen(
        [sys.executable, PROJECT / "scripts" / "repro.py"],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    end = time.monotonic() + checkout.PATIENCE
    while not (names := [name for name in ("first", "second") if (root / name).exists()]):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.05)
    return process, names


def alive(name: str, root: Path) -> list[int]:
    """Processes of that name that work in the folder."""
    return [
        process.pid
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == name and process.info["cwd"] == str(root)
    ]


def test_ctrl_c_ends_repro_and_starts_no_other_stage(tmp_path: Path) -> None:
    process, names = started(tmp_path, prepared(tmp_path, STAGES, git=True))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=checkout.PATIENCE)
    assert process.returncode == 130
    assert "Interrupted; the same command goes on from here" in output
    assert not alive("sleep", tmp_path)
    assert [name for name in ("first", "second") if (tmp_path / name).exists()] == names


def test_where_dvc_alone_is_killed_its_stage_ends_too(tmp_path: Path) -> None:
    process, names = started(tmp_path, prepared(tmp_path, STAGES, git=True))
    assert alive("sleep", tmp_path)
    (dvc,) = psutil.Process(process.pid).children()
    dvc.kill()
    output, _ = process.communicate(timeout=checkout.PATIENCE)
    assert process.returncode == 128 + signal.SIGKILL
    assert "dvc was killed (signal 9); the same command goes on from here" in output
    assert not alive("sleep", tmp_path)
    assert [name for name in ("first", "second") if (tmp_path / name).exists()] == names


def test_without_git_and_with_a_report_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a downloaded archive has it: what this run did not write is not announced."""
    if any((folder / ".git").exists() for folder in tmp_path.parents):
        pytest.skip("the tests' folder is in a git repository")
    prepared(tmp_path, PAGES)
    shipped = tmp_path / "reports" / "other" / "compare.md"
    shipped.parent.mkdir(parents=True)
    shipped.write_text(PAGE)
    os.utime(shipped, (2e9, 2e9))  # on a file server whose clock is ahead
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(repro, "check_first", lambda *arguments: None)
    assert repro.main([]) == 255  # of the failing stage, by dvc
    said = capsys.readouterr().out
    assert said.startswith("This folder is in no git repository: dvc does without")
    assert "Read reports/new/a.md" in said
    assert "reports/other" not in said
    assert repro.without_git() == ""
    Path(".git").mkdir()
    assert repro.without_git() == ""
    assert not Path(".dvc/config.local").exists()


def test_a_store_that_is_dead_is_refused_before_dvc_removes_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared(tmp_path, MODEL, git=True)
    Path(tmp_path, "model").write_text("trained\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert repro.main([]) == 1
    error = capsys.readouterr().err
    assert "MLflow's store http://127.0.0.1:1 cannot be used" in error
    assert error.count("\n") == 1
    assert Path("model").read_text() == "trained\n"

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setattr(tracking, "check", lambda: None)
    assert repro.main([]) == 0
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert repro.main([]) == 0, "nothing is to be run, so that nothing can be lost"


def test_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with repro.FileLock(repro.ALONE):
        assert repro.main([]) == 1
    assert capsys.readouterr().err.startswith("Another `make` or repro.py is at work")


def test_only_what_is_to_run_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["download@shapes", "train_fc@shapes", "compare@shapes", "report@shapes"]
    seen: list[list[str]] = []
    monkeypatch.setattr(checks, "check", lambda settings, stages: seen.append(stages))
    settings = load_settings(PROJECT / "params.yaml")
    for changed in ("{}", '{"train_fc@shapes": []}', '{"report@shapes": []}'):
        monkeypatch.setattr(repro, "asked", lambda *command, answer=changed: answer)
        repro.check_first(settings, names, names)
    assert seen == [["train_fc", "compare", "report"], ["report"]]


def test_what_stands_before_a_target_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["download@shapes", "train_fc@shapes", "compare@shapes", "report@shapes"]
    asked: list[tuple[str, ...]] = []
    seen: list[list[str]] = []

    def answer(*command: str) -> str:
        asked.append(command)
        return '{"download@shapes": []}' if "--with-deps" in command else "{}"

    monkeypatch.setattr(repro, "asked", answer)
    monkeypatch.setattr(checks, "check", lambda settings, stages: seen.append(stages))
    settings = load_settings(PROJECT / "params.yaml")
    for options in ([], ["--single-item"], ["--single-item", "--force"]):
        repro.check_first(settings, ["compare@shapes"], names, options)
    assert seen == [["download", "compare"], ["compare"]]
    assert {command[-1] for command in asked} == {"compare@shapes"}
