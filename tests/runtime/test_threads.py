"""How many threads a stage takes: an idle machine's cores, a busy one's rest, a queue's share."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from vaelab.runtime import threads


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(threads.VARIABLE, "1")  # is put back afterwards
    monkeypatch.delenv(threads.VARIABLE)
    monkeypatch.setattr(threads, "_own_cores", lambda: [0, 1, 2, 5])
    monkeypatch.setattr(threads, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(threads, "queue_workers", lambda: 0)


@pytest.mark.parametrize(
    ("busy", "expected"),
    [
        ([0, 0, 0, 100, 100, 0], "4"),  # two cores that are not ours do not count
        ([5, 8, 3, 0, 0, 9], "4"),
        ([100, 0, 0, 0, 0, 100], "2"),
        ([100, 100, 95, 0, 0, 100], "1"),  # never none
    ],
)
def test_auto_takes_the_idle_cores(
    monkeypatch: pytest.MonkeyPatch, busy: list[float], expected: str
) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval, percpu: busy)
    threads.use_threads("auto")
    assert os.environ[threads.VARIABLE] == expected


@pytest.mark.parametrize(("workers", "expected"), [(2, "2"), (3, "1"), (8, "1")])
def test_workers_of_a_queue_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, workers: int, expected: str
) -> None:
    monkeypatch.setattr(threads, "queue_workers", lambda: workers)
    threads.use_threads("auto")
    assert os.environ[threads.VARIABLE] == expected


def test_a_number_goes_before_the_variable_and_the_variable_before_auto(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(threads.VARIABLE, "3")
    threads.use_threads("auto")
    assert os.environ[threads.VARIABLE] == "3"
    threads.use_threads(7)
    assert os.environ[threads.VARIABLE] == "7"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    threads.use_threads(7)
    assert os.environ[threads.VARIABLE] == "3"


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 4), ("150000 100000", 2), ("50000 100000", 1)]
)
def test_a_containers_quota_is_kept(quota: str, cores: int) -> None:
    threads.QUOTA.write_text(f"{quota}\n")
    assert threads.usable_cores() == cores


def named(*words: str) -> SimpleNamespace:
    return SimpleNamespace(cmdline=lambda: ["python", "-m", "dvc", *words])


def gone() -> list[str]:
    raise psutil.NoSuchProcess(1)


@pytest.mark.parametrize(
    ("parents", "expected"),
    [([named("repro")], 0), ([named("exp", "run"), named("exp", "queue-worker", "a")], 2)],
)
def test_what_counts_as_a_queues_worker(
    monkeypatch: pytest.MonkeyPatch, parents: list[SimpleNamespace], expected: int
) -> None:
    monkeypatch.undo()
    every = [named("exp", "queue-worker", "a"), named("exp", "queue-worker", "b")]
    every += [named("repro"), SimpleNamespace(cmdline=gone)]
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(parents=lambda: parents))
    monkeypatch.setattr(psutil, "process_iter", lambda: every)
    assert threads.queue_workers() == expected


SLOW = ("torch", "mlflow", "matplotlib", "numpy", "pandas", "sklearn", "scipy")
STAGES = Path(__file__).parents[2] / "src" / "stages"


@pytest.mark.parametrize("script", sorted(STAGES.glob("[!s]*.py")), ids=lambda path: path.stem)
@pytest.mark.parametrize("argument", ["nosuch", "--help"])
def test_what_is_refused_is_refused_before_anything_slow_is_imported(
    script: Path, argument: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import atexit, runpy, sys\n"
        f"atexit.register(lambda: print('slow:', sorted(set({SLOW}) & set(sys.modules))))\n"
        f"sys.argv = [{str(script)!r}, {argument!r}]\n"
        f"sys.path.insert(0, {str(STAGES)!r})\n"
        f"runpy.run_path({str(script)!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=STAGES.parents[1], check=False)
    out = capfd.readouterr()
    assert done.returncode == (0 if argument == "--help" else 1)
    assert "slow: []" in out.out
    assert ("no data set 'nosuch'" in out.err) == (argument == "nosuch")


def test_the_number_is_what_torch_takes() -> None:
    code = "from vaelab.runtime.threads import use_threads; use_threads(1); import torch; "
    code += "print(torch.get_num_threads())"
    env = {**os.environ, "PYTHONPATH": str(STAGES.parent)}
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    assert found.stdout.split() == [b"1"]
