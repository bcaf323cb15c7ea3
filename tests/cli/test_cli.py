"""The command line on untrained models and on pictures of many kinds."""

from __future__ import annotations

import csv
import io
import logging
import math
import os
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import vaelab.cli
from vaelab import nets
from vaelab.cli import OUT_OF_MEMORY, commands, main, output, sheet
from vaelab.cli.parser import build_parser
from vaelab.cli.sheet import Row, draw_sheet
from vaelab.data.pictures import read_picture
from vaelab.nets.saved import load_vae, load_vaes
from vaelab.plotting.style import to_uint8
from vaelab.samplers.gaussians import Prior
from vaelab.studies.interpolate.paths import PATH_KINDS, PathKind, path
from vaelab.vae.inference import decode, encode
from vaelab.vae.model import CONFIG, VAE, Posterior, VAEConfig, seed_dir
from vaelab.vae.objective import kl_to_standard_normal

CPU = torch.device("cpu")
CONV = Path("models/toys/conv")
SIZE, LATENT = 16, 4
SIDE = 96  # of a drawn image of 16 pixels
COMMANDS: dict[str, list[str]] = {
    "sample": [],
    "reconstruct": ["pictures/rgba.png"],
    "interpolate": ["pictures/rgba.png", "pictures/palette.gif"],
    "encode": ["pictures/rgba.png"],
    "traverse": ["pictures/rgba.png"],
}

Picture = NDArray[np.uint8]  # (H, W, 3)


def save_model(
    folder: Path = CONV, *, seed: int = 0, channels: int = 3, size: int = SIZE, **changes: Any
) -> None:
    torch.manual_seed(seed)
    config = VAEConfig(
        architecture="conv",
        shape=(channels, size, size),
        latent_dim=LATENT,
        likelihood="gaussian",
        net={"width": 2},
        **changes,
    )
    vae = nets.build(config)
    with torch.no_grad():  # an untrained decoder is all but grey
        for parameter in vae.parameters():
            parameter.mul_(3.0)
    vae.save(seed_dir(folder, seed))


def save_pictures(folder: Path) -> list[Path]:
    """In the order of their names."""
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 4), np.uint8)
    rgba = Image.fromarray(pixels)
    rgb = rgba.convert("RGB")
    upside_down = Image.Exif()
    upside_down[0x0112] = 3
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    rgb.resize((900, 1700)).save(folder / "large.webp")
    Image.fromarray(pixels[:, :, 0] * np.uint16(257)).save(folder / "grey of 16 bits.tif")
    rgb.quantize(7).save(folder / "palette.gif")
    rgba.save(folder / "rgba.png")
    rgb.rotate(180).save(folder / "rotated.png", exif=upside_down)
    rgb.crop((0, 0, 3, 1)).save(folder / "tiny.bmp")
    rgba.convert("LA").save(folder / "veiled.png")
    return sorted(folder.iterdir())


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The working folder has a model, and pictures of several kinds."""
    monkeypatch.chdir(tmp_path)
    save_model()
    return save_pictures(Path("pictures"))


def read(files: list[Path], vae: VAE) -> NDArray[np.uint8]:
    return np.stack([read_picture(file, vae.config.shape) for file in files])


def opened(file: str) -> Picture:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def enlarged(images: NDArray[Any]) -> list[Picture]:
    """As sheets show them."""
    factor = SIDE // images.shape[-1]
    return [np.kron(image, np.ones((factor, factor, 1), np.uint8)) for image in to_uint8(images)]


def place(shown: Picture, image: Picture) -> tuple[int, int]:
    """Where in a sheet an image is, (top, left), which must be once."""
    height, width, _ = image.shape
    corners = (shown[: -height + 1, : -width + 1] == image[0, 0]).all(2)
    found = [
        (top, left)
        for top, left in np.argwhere(corners).tolist()
        if (shown[top : top + height, left : left + width] == image).all()
    ]
    assert len(found) == 1
    return found[0]


def places(file: str, images: NDArray[Any]) -> list[tuple[int, int]]:
    shown = opened(file)
    return [place(shown, image) for image in enlarged(images)]


def assert_rows(found: list[tuple[int, int]], columns: int) -> None:
    """They lie in a grid, in reading order."""
    tops, lefts = np.array(found).T
    for start in range(0, len(found), columns):
        row = slice(start, start + columns)
        assert len(set(tops[row])) == 1
        assert (np.diff(lefts[row]) > SIDE).all()
        assert lefts[start] == lefts[0]
    assert (np.diff(tops[::columns]) > SIDE).all()


def test_sample(pictures: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--count", "5", "--temperature", "0.7", "--seed", "3"]) == 0
    z = Prior(LATENT, 0.7).sample(5, torch.Generator().manual_seed(3))
    found = places("samples.png", decode(load_vae(CONV, CPU), z))
    assert_rows(found, columns=3)
    captured = capsys.readouterr()
    assert captured.out == f"samples.png: 5 samples of the prior at temperature 0.7 by {CONV}\n"
    assert not captured.err

    first = Path("samples.png").read_bytes()
    assert main(["sample", "--count=5", "--temperature=0.7", "--seed=4", "--out=b.PNG"]) == 0
    assert Path("b.PNG").read_bytes() != first
    assert main(["sample", "--count=5", "--temperature=0.7", "--seed=3", "--out=b.PNG"]) == 0
    assert Path("b.PNG").read_bytes() == first


def test_reconstruct(pictures: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    files = [*pictures, *reversed(pictures)]  # eight lie side by side
    assert main(["reconstruct", *map(str, files), "--model", str(CONV), "--out=new/a.png"]) == 0
    assert capsys.readouterr().out == (
        f"new/a.png: {len(files)} pictures and the reconstructions by {CONV}\n"
    )
    vae = load_vae(CONV, CPU)
    originals = read(pictures, vae)
    decoded = decode(vae, encode(vae, originals).mu)
    shown = opened("new/a.png")
    above = shown[: shown.shape[0] // 2]
    upper = [place(above, image) for image in enlarged(originals)]
    lower = [place(above, image) for image in enlarged(decoded)]
    assert_rows([*upper, *lower], columns=len(pictures))
    assert [left for _, left in upper] == [left for _, left in lower]


def test_reconstruct_says_how_near(pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[Row] = []

    def draw(given: list[Row]) -> Image.Image:
        rows.extend(given)
        return draw_sheet(given)

    monkeypatch.setattr(commands, "draw_sheet", draw)
    monkeypatch.setattr(commands, "decode", lambda vae, mu: np.full((1, 3, SIZE, SIZE), 0.5))
    Image.new("RGB", (20, 20), (0, 0, 0)).save("black.png")
    assert main(["reconstruct", "black.png"]) == 0
    assert [list(row.captions) for row in rows] == [["black.png"], ["6.0 dB"]]
    assert 20 * math.log10(2) == pytest.approx(6.0, abs=0.05)


def test_interpolate(pictures: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    a, b = pictures[0], pictures[2]
    vae = load_vae(CONV, CPU)
    originals = read([a, b], vae)
    mu = encode(vae, originals).mu
    kinds: dict[str, PathKind] = {"linear": "linear", "spherical": "slerp"}
    for kind, the_librarys in kinds.items():
        way = decode(vae, path(mu[0], mu[1], 13, the_librarys))
        assert main(["interpolate", str(a), str(b), "--steps", "13", "--kind", kind]) == 0
        ends = originals / 255.0
        found = places("interpolation.png", np.concatenate([ends[:1], way, ends[1:]]))
        assert_rows(found, columns=13)
        assert capsys.readouterr().out == (
            f"interpolation.png: 13 steps of a {kind} path from {a.name} to {b.name} by {CONV}\n"
        )


def test_an_animation_goes_there_and_back(pictures: list[Path]) -> None:
    a, b = map(str, pictures[:2])
    assert main(["interpolate", a, b, "--steps", "4", "--out", "way.gif"]) == 0
    frames, durations = [], []
    with Image.open("way.gif") as animation:
        assert animation.info["loop"] == 0
        for number in range(animation.n_frames):  # type: ignore[attr-defined]
            animation.seek(number)
            frames.append(np.asarray(animation.convert("RGB")).astype(int))
            durations.append(animation.info["duration"])
    assert len(frames) == 6
    assert durations == [sheet.HOLD_MS, *[sheet.STEP_MS] * 2, sheet.HOLD_MS, *[sheet.STEP_MS] * 2]
    assert all((frame[0] == 255).all() for frame in frames)
    np.testing.assert_array_equal(frames[1], frames[5])
    np.testing.assert_array_equal(frames[2], frames[4])

    vae = load_vae(CONV, CPU)
    originals = read(pictures[:2], vae)
    way = decode(vae, path(*encode(vae, originals).mu, 4, "linear"))
    gap, top = SIDE // 24, frames[0].shape[0] - SIDE - SIDE // 24
    for step, frame in enumerate(frames[:4]):
        a_shown, middle, b_shown = (
            frame[top : top + SIDE, left : left + SIDE]
            for left in (gap + i * (SIDE + gap) for i in range(3))
        )
        for shown, original in zip((a_shown, b_shown), enlarged(originals), strict=True):
            assert np.abs(shown - original).mean() < 12.0  # 256 colours stand for noise
        errors = [np.abs(middle - image).mean() for image in enlarged(way)]
        assert np.argmin(errors) == step
        assert errors[step] < 12.0


def test_an_animations_paper_is_white() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    pixels[60:] = 250
    pixels[90:] = 255
    with Image.open(io.BytesIO(sheet.as_gif([Image.fromarray(pixels)]))) as animation:
        assert (np.asarray(animation.convert("RGB"))[90:] == 255).all()


def test_encode(pictures: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", *map(str, pictures)]) == 0
    assert capsys.readouterr().out == f"codes.csv: codes of 8 pictures by {CONV}, 4 dimensions\n"
    with Path("codes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    vae = load_vae(CONV, CPU)
    posterior = encode(vae, read(pictures, vae))
    assert [row["file"] for row in rows] == [str(file) for file in pictures]
    for name, expected in posterior._asdict().items():
        written = [[row[f"{name}_{i}"] for i in range(LATENT)] for row in rows]
        np.testing.assert_array_equal(np.array(written, np.float32), expected.numpy())


def test_a_folder_stands_for_the_pictures_in_it(pictures: list[Path]) -> None:
    Path("pictures/notes.txt").write_text("no picture")
    Path("pictures/.hidden.png").write_text("no picture")
    Path("pictures/sub.png").mkdir()
    Path("pictures/sub.png/deeper.png").write_text("no picture")
    assert main(["encode", "pictures", "--out", "folder.csv"]) == 0
    assert main(["encode", *map(str, pictures), "--out", "files.csv"]) == 0
    assert Path("folder.csv").read_bytes() == Path("files.csv").read_bytes()


def test_a_folders_unreadable_pictures_are_left_out(
    pictures: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("pictures/a.jpg").write_text("text")
    Path("pictures/half.png").write_bytes(Path("pictures/rgba.png").read_bytes()[:500])
    assert main(["encode", "pictures", str(pictures[0]), "--out", "folder.csv"]) == 0
    assert capsys.readouterr().err == (
        "pictures/a.jpg is not a picture; left out\n"
        "pictures/half.png cannot be read: the file is cut short; left out\n"
    )
    assert main(["encode", *map(str, [*pictures, pictures[0]]), "--out", "files.csv"]) == 0
    assert Path("folder.csv").read_bytes() == Path("files.csv").read_bytes()


def test_an_earlier_run_of_a_folder_is_no_picture_of_it(
    pictures: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", str(CONV.resolve())]
    monkeypatch.chdir("pictures")
    assert main(["reconstruct", ".", *model]) == 0
    first = Path("reconstruction.png").read_bytes()
    assert main(["reconstruct", ".", *model]) == 0
    assert Path("reconstruction.png").read_bytes() == first
    assert not capsys.readouterr().err
    assert main(["reconstruct", "reconstruction.png", *model]) == 2
    assert "--out names reconstruction.png, one of the pictures" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "count", "named"),
    [("", LATENT, None), ("--dimensions 2", 2, None), ("--dimension 3 0 1", 3, [3, 0, 1])],
)
def test_traverse(pictures: list[Path], option: str, count: int, named: list[int] | None) -> None:
    assert main(["traverse", str(pictures[0]), *option.split(), "--extent", "2.5"]) == 0
    vae = load_vae(CONV, CPU)
    original = read(pictures[:1], vae)
    mu, logvar = encode(vae, original)
    held = kl_to_standard_normal(mu, logvar)[0]
    most = sorted(range(LATENT), key=lambda dimension: -held[dimension])
    dimensions = named or most[:count]
    shown = opened("traversal.png")
    (top, left), (_, right) = (
        place(shown, enlarged(image)[0]) for image in (original, decode(vae, mu))
    )
    assert right - left == SIDE + SIDE // 24
    found = []
    for dimension in dimensions:
        z = mu.repeat(7, 1)
        z[:, dimension] = torch.linspace(-2.5, 2.5, 7)
        found += [place(shown, image) for image in enlarged(decode(vae, z))]
    assert_rows(found, columns=7)
    assert found[0][0] > top + SIDE
    assert found[0][1] == left
    assert shown.shape[0] - found[-1][0] - SIDE == SIDE // 24  # these rows and no more


def test_traverse_frames_what_is_nearest_to_the_pictures_own_value(
    pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Row] = []

    def draw(given: list[Row]) -> Image.Image:
        rows.extend(given)
        return draw_sheet(given)

    posterior = Posterior(torch.tensor([[-3.31, 0.6, 2.2, 9.0]]), torch.zeros(1, LATENT))
    monkeypatch.setattr(commands, "encode_images", lambda vae, images: posterior)
    monkeypatch.setattr(commands, "draw_sheet", draw)
    assert main(["traverse", str(pictures[0]), "--dimension", "0", "1", "2", "3"]) == 0
    assert [row.framed for row in rows] == [None, 0, 4, 5, 6]
    assert [row.label for row in rows[1:]] == [
        "z0: μ −3.31 (left of the row), 5.5 nats",
        "z1: μ 0.60, 0.2 nats",
        "z2: μ 2.20, 2.4 nats",
        "z3: μ 9.00 (right of the row), 40.5 nats",
    ]


def test_a_frame_lies_around_an_image() -> None:
    images = np.full((2, 1, SIDE, SIDE), 128, np.uint8)
    plain, framed = (np.asarray(draw_sheet([Row(images, framed=i)])) for i in (None, 1))
    gap = SIDE // 24
    rows, columns, _ = np.nonzero(plain != framed)
    left = gap + SIDE + gap
    assert (rows.min(), rows.max()) == (gap - gap // 2, gap + SIDE + gap // 2 - 1)
    assert (columns.min(), columns.max()) == (left - gap // 2, left + SIDE + gap // 2 - 1)
    assert (framed[gap : gap + SIDE, left : left + SIDE] == 128).all()


def test_a_seeds_own_folder(pictures: list[Path]) -> None:
    save_model(seed=5)
    assert main(["sample", "--count=1", "--model", str(seed_dir(CONV, 5))]) == 0
    z = torch.randn(1, LATENT, generator=torch.Generator().manual_seed(0))
    vaes = load_vaes(CONV, CPU)
    assert places("samples.png", decode(vaes[5], z))
    assert main(["sample", "--count=1"]) == 0
    assert places("samples.png", decode(vaes[0], z))


@pytest.mark.parametrize(("channels", "size"), [(1, 16), (1, 28), (3, 128)])
def test_models_of_other_shapes(pictures: list[Path], channels: int, size: int) -> None:
    folder = Path("models/other/conv")
    save_model(folder, channels=channels, size=size)
    vae = load_vae(folder, CPU)
    for command, files in COMMANDS.items():
        few = ["--count=1"] if command == "sample" else []
        assert main([command, *files, *few, "--model", str(folder)]) == 0
    shown = opened("reconstruction.png")
    side = size * math.ceil(SIDE / size)
    original = to_uint8(read([pictures[4]], vae))[0].repeat(side // size, 0).repeat(side // size, 1)
    assert place(shown, original)


def test_an_autoencoder(pictures: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    save_model(posterior="point")
    for command, files in COMMANDS.items():
        assert main([command, *files]) == 0
        said = capsys.readouterr().out
        assert ("autoencoder" in said) == (command == "sample")
    with Path("codes.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["file", *(f"mu_{i}" for i in range(LATENT))]


def corrupt_config() -> None:
    (seed_dir(CONV, 0) / CONFIG).write_text("{")


def another_model() -> None:
    save_model(Path("models/others/conv"))


def empty_folder() -> None:
    Path("empty").mkdir()


def a_file_in_the_way() -> None:
    Path("taken").write_text("")


def folder_as_output() -> None:
    Path("samples.png").mkdir()


def no_picture() -> None:
    Path("text.jpg").write_text("text")


def half_a_picture() -> None:
    whole = Path("pictures/rgba.png").read_bytes()
    Path("half.png").write_bytes(whole[: len(whole) // 2])


def broken_pictures() -> None:
    Path("broken").mkdir()
    for name in ("a.png", "b.png"):
        Path("broken", name).write_text("text")


def nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("prepare", "line", "message"),
    [
        (nothing, "sample --model absent/conv", "there is no folder absent/conv"),
        (nothing, "sample --model models/toys", "name one: models/toys/conv"),
        (nothing, "sample --model pictures", "other seed in it); name a folder such as models/"),
        (corrupt_config, "sample", "models/toys/conv/seed_0 holds no readable model (config.json"),
        (corrupt_config, "sample", "; `dvc repro train_conv@toys` makes it"),
        (another_model, "sample", "with --model: models/others/conv, models/toys/conv"),
        (nothing, "sample --device cuda:99", "this machine lacks"),
        (nothing, "sample --out pictures/rgba.png/a.png", "pictures/rgba.png/a.png cannot be wri"),
        (a_file_in_the_way, "sample --out taken/a.png", "taken/a.png cannot be written: "),
        (folder_as_output, "sample", "samples.png cannot be written: Is a directory"),
        (nothing, "reconstruct absent.jpg", "absent.jpg cannot be read: No such file"),
        (nothing, "reconstruct pictures absent.jpg", "absent.jpg cannot be read: No such file"),
        (no_picture, "reconstruct text.jpg", "text.jpg is not a picture"),
        (half_a_picture, "encode pictures half.png", "half.png cannot be read: the file is cut "),
        (broken_pictures, "encode broken broken/b.png", "broken/b.png is not a picture"),
        (
            broken_pictures,
            "encode broken",
            "no picture can be read; the first: broken/a.png is not a picture",
        ),
        (empty_folder, "encode empty", "empty is a folder without pictures"),
        (nothing, "traverse pictures", "pictures is a folder; name one picture"),
        (nothing, "interpolate pictures pictures/rgba.png", "pictures is a folder; name one"),
        (nothing, "interpolate pictures/rgba.png pictures", "pictures is a folder; name one"),
        (nothing, "interpolate pictures/rgba.png absent.png", "absent.png cannot be read"),
        (
            nothing,
            "reconstruct pictures --out pictures/rgba.png",
            "--out names pictures/rgba.png, one of the pictures",
        ),
        (
            nothing,
            "traverse pictures/rgba.png --dimension 1 4",
            "no dimension 4 in models/toys/conv; allowed: 0 to 3",
        ),
    ],
)
def test_what_a_person_can_mend_is_one_line(
    pictures: list[Path],
    capsys: pytest.CaptureFixture[str],
    prepare: Callable[[], None],
    line: str,
    message: str,
) -> None:
    prepare()
    before = {file: file.is_file() and file.read_bytes() for file in Path().rglob("*")}
    assert main(line.split()) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert captured.err.startswith(f"vaelab {line.split()[0]}: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert {file: file.is_file() and file.read_bytes() for file in Path().rglob("*")} == before


def test_no_model_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sample"]) == 2
    assert "there is no models/*/conv in this folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "required: COMMAND"),
        ("paint", "invalid choice: 'paint'"),
        ("reconstruct", "required: FILE"),
        ("interpolate a.png", "required: B"),
        ("sample --model", "--model: expected one argument"),
        ("sample --count 0", "'0' is not a whole number from 1 to 1024"),
        ("sample --count 1.5", "'1.5' is not a whole number"),
        ("sample --seed -1", "--seed"),
        ("sample --temperature 0", "'0' is not a number above 0"),
        ("sample --temperature inf", "'inf' is not a number above 0"),
        ("sample --temperature warm", "'warm' is not a number above 0"),
        ("sample --device tpu", "'tpu' is not auto, cpu"),
        ("sample --out a.jpg", "'a.jpg' does not end in .png"),
        ("sample --out=", "an empty name"),
        ("interpolate a b --out a.csv", "'a.csv' does not end in .png or .gif"),
        ("interpolate a b --steps 1", "'1' is not a whole number from 2 to 101"),
        ("interpolate a b --kind slerp", "invalid choice: 'slerp'"),
        ("encode a --out codes", "'codes' does not end in .csv"),
        ("traverse a b", "unrecognized arguments: b"),
        ("traverse a --dimension 1 --dimensions 2", "not allowed with argument"),
        ("traverse a --dim 1", "unrecognized arguments"),
    ],
)
def test_a_bad_argument_is_one_line(
    capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out


def test_the_file_that_is_there_stays_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, link = tmp_path / "file.csv", tmp_path / "link.csv"
    link.symlink_to(file)
    output.write(link, b"one")
    assert link.is_symlink()

    def interrupted(self: Path, content: bytes) -> int:
        self.touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            output.write(file, b"two")
    assert file.read_bytes() == b"one"
    assert sorted(tmp_path.iterdir()) == [file, link]
    output.write(file, b"two")
    assert file.read_bytes() == b"two"


def raising(error: BaseException) -> Callable[..., str]:
    def command(**options: Any) -> str:
        raise error

    return command


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(commands.COMMANDS, "sample", raising(KeyboardInterrupt()))
    assert main(["sample"]) == 130
    assert capsys.readouterr() == ("", "")


def test_what_the_system_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = PermissionError(13, "Permission denied", "models")
    monkeypatch.setitem(commands.COMMANDS, "sample", raising(error))
    assert main(["sample"]) == 2
    assert capsys.readouterr().err == "vaelab sample: [Errno 13] Permission denied: 'models'\n"


@pytest.mark.parametrize("allocate", [np.empty, torch.empty])
def test_a_lack_of_memory_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    allocate: Callable[[int], object],
) -> None:
    monkeypatch.setitem(commands.COMMANDS, "sample", lambda **options: allocate(10**17))
    assert main(["sample"]) == 2
    assert capsys.readouterr().err == f"vaelab sample: {OUT_OF_MEMORY}\n"


def test_a_mistake_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(commands.COMMANDS, "sample", raising(ZeroDivisionError("by zero")))
    with pytest.raises(ZeroDivisionError):
        main(["sample"])


def test_libraries_warn_of_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def warn(**options: Any) -> str:
        warnings.warn("a picture's metadata", stacklevel=1)
        logging.getLogger("PIL").error("a picture's metadata")
        return "written"

    monkeypatch.setitem(commands.COMMANDS, "sample", warn)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert main(["sample"]) == 0
    assert not caught
    assert not caplog.records
    logging.getLogger("PIL").error("heard again")
    assert caplog.messages == ["heard again"]


def test_names_that_are_no_text(pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Path(os.fsdecode("日本 $x^$\n\udcff".encode("utf-8", "surrogateescape") + b".png"))
    odd.write_bytes(pictures[4].read_bytes())
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    for command in ("reconstruct", "traverse", "encode"):
        assert main([command, str(odd)]) == 0
    assert main(["interpolate", str(odd), str(odd), "--steps=2"]) == 0
    lines = written.getvalue().decode("ascii").splitlines()
    assert len(lines) == 4
    assert r"\u65e5\u672c $x^$??.png" in lines[1]
    table = Path("codes.csv").read_text(encoding="utf-8", errors="surrogateescape")
    assert next(csv.DictReader(io.StringIO(table, newline="")))["file"] == str(odd)


def test_nobody_reads_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        monkeypatch.setitem(commands.COMMANDS, "sample", lambda **options: "written")
        assert main(["sample"]) == 0


def test_long_captions_keep_their_ends() -> None:
    image = np.zeros((1, 1, 96, 96), np.uint8)
    long = draw_sheet([Row(image, ["photograph of a long holiday, number 17.jpg"])])
    short = draw_sheet([Row(image, ["17.jpg"])])
    assert long.size == short.size
    dark = (np.asarray(long)[: -SIDE - 8] < 128).any((0, 2))
    assert dark.any()
    assert not dark[:4].any()
    assert not dark[-4:].any()


def test_the_kinds_of_path_are_the_librarys() -> None:
    for kind in commands.KINDS:
        assert build_parser().parse_args(["interpolate", "a", "b", "--kind", kind]).kind == kind
    assert set(commands.KINDS.values()) <= set(PATH_KINDS)


def test_the_module_helps_without_heavy_imports() -> None:
    heavy = "torch", "numpy", "matplotlib", "PIL", "pydantic"
    script = (
        "import runpy, sys\n"
        "sys.argv = ['vaelab', '--help']\n"
        "try: runpy.run_module('vaelab', run_name='__main__')\n"
        f"finally: sys.exit(str(set({heavy}) & set(sys.modules)))"
    )
    for arguments in (["-m", "vaelab", "--help"], ["-c", script]):
        ended = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=False
        )
        assert all(command in ended.stdout for command in COMMANDS)
        assert ended.stderr.strip() in ("", "set()")


def test_the_entry_point() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert EntryPoint("vaelab", project["scripts"]["vaelab"], "console_scripts").load() is main
    assert vaelab.cli.main is main
