from pathlib import Path

import pytest

from vaelab.runtime.files import write_whole


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
