"""dvc.lock after a stop while DVC wrote it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import dvc_lock
from vaelab.runtime.errors import UserError

RECORD = """  {name}:
    cmd: python src/stages/{name}.py
    deps:
    - path: data/{name}
      hash: md5
      md5: ecdfb22e90e8e2f7fce4a1e94b86b1a1.dir
      size: 330
      nfiles: 2
    params:
      params.yaml:
        model:
          latent_dim: 4
    outs:
    - path: models/{name}
      hash: md5
      md5: 20f7f3a1ad6a5a6e27a9cbf5a21fd1b4
      size: 104
    - path: metrics/{name}.json
      hash: md5
      md5: 0d5a0c5a6d7f3a1ad6a5a6e27a9cbf5a
      size: 17
"""


def lock_of(*names: str) -> bytes:
    return ("schema: '2.0'\nstages:\n" + "".join(RECORD.format(name=n) for n in names)).encode()


WHOLE = lock_of("first", "second", "third")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    dvc_lock.LOCK.write_bytes(WHOLE)
    return tmp_path


def test_a_cut_of_a_killed_run_is_mended_wherever_it_is() -> None:
    dvc_lock.begin()
    assert dvc_lock.restored() == ""
    ends = [i + 1 for i, byte in enumerate(WHOLE[:-1]) if byte == ord("\n")]
    for length in [*range(0, len(WHOLE), 17), *ends]:
        dvc_lock.LOCK.write_bytes(WHOLE[:length])
        assert "the last whole one is put back" in dvc_lock.restored(), length
        assert dvc_lock.LOCK.read_bytes() == WHOLE


def test_the_record_that_was_being_written_is_not_taken_for_whole() -> None:
    """DVC fails without a word at one that lacks what stands before its `outs`; of those it brings
    what is missing from its cache.
    """
    before = lock_of("first", "second")
    dvc_lock.LOCK.write_bytes(before)
    dvc_lock.begin()
    taken = []
    for length in (i for i in range(len(before) + 1, len(WHOLE)) if WHOLE[i - 1 : i] == b"\n"):
        dvc_lock.LOCK.write_bytes(WHOLE[:length])
        if not dvc_lock.restored():
            taken.append(WHOLE[len(before) : length].decode())
    assert [text.splitlines()[-1] for text in taken] == ["      size: 104"]


def test_what_rightly_became_less_stays() -> None:
    """Fewer seeds or a recipe without settings of its own, and an output that is no more."""
    less = WHOLE.replace(b"\n        model:\n          latent_dim: 4", b" {}")
    fewer = less[: less.rindex(b"    - path: metrics/third.json")]
    for now in (less, fewer):
        dvc_lock.LOCK.write_bytes(WHOLE)
        dvc_lock.begin()
        dvc_lock.LOCK.write_bytes(now)
        if now == less:  # also where the run is killed afterwards
            assert dvc_lock.restored() == ""
        dvc_lock.close()
        assert dvc_lock.KEPT.read_bytes() == now
        assert dvc_lock.restored() == ""
        assert dvc_lock.LOCK.read_bytes() == now


@pytest.mark.parametrize("text", [b"", b"sch", b"schema: '2.0'\nstages:\n", b"\0" * 99, WHOLE[:50]])
def test_what_dvc_cannot_read_is_replaced_after_any_stop(text: bytes) -> None:
    dvc_lock.begin()
    dvc_lock.close()
    dvc_lock.LOCK.write_bytes(text)
    assert dvc_lock.restored()
    assert dvc_lock.LOCK.read_bytes() == WHOLE


def test_without_a_whole_one_the_repair_is_named() -> None:
    dvc_lock.LOCK.write_bytes(WHOLE[:50])
    with pytest.raises(UserError, match=r"`git checkout dvc\.lock` brings back"):
        dvc_lock.restored()


def test_fewer_records_stay_where_no_run_was_killed() -> None:
    """As after `git checkout`, `dvc exp apply` or `dvc remove`."""
    dvc_lock.begin()
    dvc_lock.close()
    dvc_lock.LOCK.write_bytes(lock_of("first", "third"))
    assert dvc_lock.restored() == ""
    dvc_lock.begin()
    dvc_lock.close()
    dvc_lock.LOCK.write_bytes(b"")
    dvc_lock.restored()
    assert dvc_lock.LOCK.read_bytes() == lock_of("first", "third")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_fewer_records_stay_where_git_has_them_so(here: Path) -> None:
    dvc_lock.begin()
    dvc_lock.LOCK.write_bytes(lock_of("first", "second"))
    name = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    for command in (("init", "-q"), ("add", "dvc.lock"), (*name, "commit", "-qm", "fewer")):
        subprocess.run(["git", *command], check=True)
    assert dvc_lock.restored() == ""


def test_a_removed_one_stays_removed() -> None:
    dvc_lock.begin()
    dvc_lock.close()
    dvc_lock.LOCK.unlink()
    assert dvc_lock.restored() == ""
    dvc_lock.begin()
    assert not dvc_lock.RUNNING.exists()
    assert not dvc_lock.KEPT.exists()


def test_what_is_written_during_the_run_is_kept() -> None:
    dvc_lock.LOCK.write_bytes(lock_of("first", "second"))
    dvc_lock.begin()
    dvc_lock.LOCK.write_bytes(WHOLE[:200])  # seen while DVC writes
    dvc_lock.keep()
    assert dvc_lock.RUNNING.read_bytes() == lock_of("first", "second")
    dvc_lock.LOCK.write_bytes(WHOLE)
    dvc_lock.close()
    assert dvc_lock.KEPT.read_bytes() == WHOLE
    assert not dvc_lock.RUNNING.exists()
