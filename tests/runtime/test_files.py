import errno
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from toys import small_vae

from vaelab.runtime.checkpoints import Checkpoint
from vaelab.runtime.errors import UserError
from vaelab.runtime.files import unwritable, write_whole
from vaelab.runtime.outputs import write_csv, write_json
from vaelab.runtime.stage import reason_of


def test_the_file_that_is_there_stays_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, link = tmp_path / "file.csv", tmp_path / "link.csv"
    link.symlink_to(file)
    write_whole(link, b"one")
    assert link.is_symlink()

    def interrupted(self: Path, content: bytes) -> int:
        self.touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_whole(file, b"two")
    assert file.read_bytes() == b"one"
    assert sorted(tmp_path.iterdir()) == [file, link]
    write_whole(file, b"two")
    assert file.read_bytes() == b"two"


@contextmanager
def no_room() -> Iterator[None]:
    """No file may grow beyond 1,000 bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


WRITERS: dict[str, Callable[[Path], object]] = {
    "arrays": lambda folder: np.save(folder / "train.npy", np.zeros(9000)),
    "a model": lambda folder: small_vae("fc").save(folder),
    "tensors": lambda folder: save_file({"a": torch.ones(9000)}, folder / "a.safetensors"),
    "a checkpoint": lambda folder: Checkpoint(folder).save({"weights": torch.ones(9000)}),
    "JSON": lambda folder: write_json(folder / "a.json", {"a": [0.5] * 9000}),
    "CSV": lambda folder: write_csv(folder / "a.csv", pd.DataFrame({"a": [0.5] * 9000})),
    "a picture": lambda folder: Image.effect_noise((99, 99), 9).save(folder / "a.png"),
    "bytes": lambda folder: write_whole(folder / "a", bytes(9000)),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_one_line(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = tmp_path / "a"
    before.write_bytes(b"of an earlier run")
    with no_room(), pytest.raises(Exception) as caught:  # noqa: PT011 - every library has its own
        WRITERS[writer](tmp_path)
    told = reason_of(caught.value)
    assert told is not None
    assert "\n" not in told
    assert "cannot be written: " in told
    assert told.endswith("MB are free there")
    assert before.read_bytes() == b"of an earlier run"
    WRITERS[writer](tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES])
def test_what_the_disk_answers_names_the_file_and_the_room(number: int, tmp_path: Path) -> None:
    told = unwritable(OSError(number, "words", str(tmp_path / "not there" / "a.npy")))
    assert told is not None
    assert told.startswith(f"{tmp_path}/not there/a.npy cannot be ")
    assert "words; " in told


def test_a_database_on_a_full_disk_is_one_line() -> None:
    error = RuntimeError("MLflow's words")
    error.__cause__ = sqlite3.OperationalError("database or disk is full")
    assert unwritable(error) is not None
    assert unwritable(ValueError("another fault")) is None


def test_a_file_in_a_folders_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "models").touch()
    with pytest.raises(UserError, match="models/a cannot be written: File exists"):
        write_whole(tmp_path / "models" / "a", b"a")


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_a_models_files_have_the_umasks_mode(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        small_vae("fc").save(tmp_path / "model")
    finally:
        os.umask(before)
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "model").iterdir()}
    assert modes == dict.fromkeys(("weights.safetensors", "config.json"), 0o666 & ~umask)
