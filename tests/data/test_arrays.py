"""A prepared data set that is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toys import image_arrays

from vaelab.data.arrays import ImageArrays
from vaelab.runtime.errors import UserError

COUNTS = {"train": 5, "val": 3, "test": 3}


@pytest.mark.parametrize("damage", ["no folder", "no array", "empty", "cut", "another count"])
def test_a_damaged_data_set_is_one_line(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "toys"
    image_arrays(folder, lambda count: np.zeros((count, 3, 8, 8), np.uint8), COUNTS)
    file = folder / "val.npy"
    match damage:
        case "no folder":
            folder.rename(tmp_path / "elsewhere")
        case "no array":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
        case "cut":
            file.write_bytes(file.read_bytes()[:-1])
        case "another count":
            np.save(file, np.zeros((2, 3, 8, 8), np.uint8))
    with pytest.raises(UserError) as caught:
        ImageArrays.open(folder)
    assert str(caught.value).startswith(f"{folder} holds no readable data set (")
    assert str(caught.value).endswith("`dvc repro download@toys` makes it")
    assert "\n" not in str(caught.value)
