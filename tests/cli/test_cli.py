"""The command line on untrained models and on pictures of many kinds."""

from __future__ import annotations

import csv
import io
import logging
import os
import shutil
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from vaelab import nets
from vaelab.cli import OUT_OF_MEMORY, main, sheet
from vaelab.cli.commands import Row, program
from vaelab.cli.given import Given
from vaelab.cli.sheet import draw_sheet
from vaelab.data.pictures import read_picture
from vaelab.nets.saved import load_vae
from vaelab.plotting.style import to_uint8
from vaelab.samplers import saved
from vaelab.samplers.gaussians import ClassGaussians, Mixture, Prior
from vaelab.studies.interpolate.paths import PathKind, path
from vaelab.vae.inference import decode, encode
from vaelab.vae.model import CONFIG, VAE, Posterior, VAEConfig, seed_dir

CPU = torch.device("cpu")
CONV, SAMPLERS = Path("models/toys/conv"), Path("samplers/toys/conv/seed_0")
SIZE, LATENT = 16, 4


def save_model(
    folder: Path = CONV, *, seed: int = 0, channels: int = 3, size: int = SIZE, **changes: Any
) -> None:
    torch.manual_seed(seed)
    config = VAEConfig(
        architecture=folder.name,
        shape=(channels, size, size),
        latent_dim=LATENT,
        likelihood="gaussian",
        net={"width": 8, "blocks": 1} if folder.name == "fc" else {"width": 2, "blocks": 0},
        **changes,
    )
    vae = nets.build(config)
    with torch.no_grad():  # an untrained decoder is all but grey
        for parameter in vae.parameters():
            parameter.mul_(3.0)
    vae.save(seed_dir(folder, seed))


def save_samplers(dimension: int = LATENT) -> Mixture:
    """Two Gaussians; mean (0.5, 1, 1.5, …) and variance (1.25, 2, 3.25, …)."""
    far = torch.arange(1.0, dimension + 1).double()
    parts = torch.full((2,), 0.5).double(), torch.stack([0 * far, far])
    factors = torch.eye(dimension).double().repeat(2, 1, 1)
    fitted = Mixture(*parts, factors)
    classes = ClassGaussians(*parts, 2 * factors, torch.tensor([0, 1]))
    saved.save({"mixture": fitted, "class": classes}, SAMPLERS)
    return fitted


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The working folder has a model, and pictures of several sizes and formats."""
    monkeypatch.chdir(tmp_path)
    save_model()
    Path("pictures").mkdir()
    files = [Path("pictures", f"{i}.{'png' if i % 2 else 'jpg'}") for i in range(8)]
    for i, file in enumerate(files):
        pixels = np.random.default_rng(i).integers(0, 256, (24, 20 + i, 3), np.uint8)
        Image.fromarray(pixels).save(file)
    return files


def read(files: list[Path], vae: VAE) -> NDArray[np.uint8]:
    return np.stack([read_picture(file, vae.config.shape) for file in files])


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """Those of the sheets that are drawn."""
    drawn: list[Row] = []

    def draw(given: Sequence[Row], scale: int | None = None) -> Image.Image:
        drawn.extend(given)
        return draw_sheet(given, scale)

    monkeypatch.setattr(sheet, "draw_sheet", draw)
    return drawn


def assert_shows(rows: list[Row], *expected: NDArray[Any]) -> None:
    assert len(rows) == len(expected)
    for row, images in zip(rows, expected, strict=True):
        np.testing.assert_array_equal(to_uint8(row.images), to_uint8(images))


def replace(monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]) -> None:
    """What `sample` does."""
    monkeypatch.setattr(program.commands["sample"], "callback", command)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_sample_draws_from_where_encodings_are(
    pictures: list[Path], rows: list[Row], capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = save_samplers()
    vae = load_vae(CONV, CPU)
    assert main(["sample", "--count", "5", "--seed", "3"]) == 0
    images = decode(vae, fitted.sample(5, seeded(3)))
    assert_shows(rows, images[:3], images[3:])
    said = f"samples.png: 5 samples (--from mixture) by {CONV}\n"
    assert capsys.readouterr() == (said, "")
    rows.clear()
    assert main(["sample", "--from", "class", "--count", "2", "--out", "new/b.PNG"]) == 0
    assert_shows(rows, decode(vae, saved.load(SAMPLERS, "class").sample(2, seeded())))
    assert Path("new/b.PNG").is_file()


def test_reconstruct(pictures: list[Path], rows: list[Row]) -> None:
    files = [*pictures, pictures[1]]  # eight lie side by side
    assert main(["reconstruct", *map(str, files)]) == 0
    vae = load_vae(CONV, CPU)
    originals = read(pictures, vae)
    decoded = decode(vae, encode(vae, originals).mu)
    assert_shows(rows, originals, decoded, originals[1:2], decoded[1:2])
    assert rows[0].captions == [file.name for file in pictures]
    mse = np.square(decoded - originals / 255).mean((1, 2, 3))
    assert rows[1].captions == [f"{-10 * np.log10(error):.1f} dB" for error in mse]


@pytest.mark.parametrize(("option", "kind"), [("", "slerp"), ("--path linear", "linear")])
def test_interpolate(pictures: list[Path], rows: list[Row], option: str, kind: PathKind) -> None:
    a, b = pictures[0], pictures[2]
    vae = load_vae(CONV, CPU)
    originals = read([a, b], vae)
    way = decode(vae, path(*encode(vae, originals).mu, 14, kind))
    assert main(["interpolate", str(a), str(b), "--steps", "14", *option.split()]) == 0
    ends = originals / 255.0
    assert_shows(rows, np.concatenate([ends[:1], way[:12]]), np.concatenate([way[12:], ends[1:]]))
    assert rows[1].captions == ["t = 0.92", "t = 1.00", b.name]


def test_an_animation_goes_there_and_back(pictures: list[Path], rows: list[Row]) -> None:
    a, b = pictures[:2]
    assert main(["interpolate", str(a), str(b), "--steps", "4", "--out", "way.gif"]) == 0
    vae = load_vae(CONV, CPU)
    originals = read([a, b], vae)
    way = decode(vae, path(*encode(vae, originals).mu, 4, "slerp"))
    start, end = originals / 255.0
    assert_shows(rows, *(np.stack([start, step, end]) for step in way))
    frames = []
    with Image.open("way.gif") as animation:
        assert animation.info["loop"] == 0
        for number in range(animation.n_frames):  # type: ignore[attr-defined]
            animation.seek(number)
            frames.append(np.asarray(animation.convert("RGB")).astype(int))
    assert len(frames) == 6
    for frame, row in zip(frames, [*rows, rows[2], rows[1]], strict=True):
        assert np.abs(frame - np.asarray(draw_sheet([row]))).mean() < 12.0  # few colours
        assert (frame[0] == 255).all()


def test_encode(pictures: list[Path]) -> None:
    assert main(["encode", *map(str, pictures)]) == 0
    with Path("codes.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    vae = load_vae(CONV, CPU)
    posterior = encode(vae, read(pictures, vae))
    assert [row["file"] for row in table] == [str(file) for file in pictures]
    for name, expected in posterior._asdict().items():
        written = [[row[f"{name}_{i}"] for i in range(LATENT)] for row in table]
        np.testing.assert_array_equal(np.array(written, np.float32), expected.numpy())


@pytest.mark.parametrize(
    ("option", "dimensions"),
    [("", [3, 0, 2, 1]), ("--dimensions 2", [3, 0]), ("--dimension 1 --dimension 3", [1, 3])],
)
@pytest.mark.parametrize("stored", [True, False])
def test_traverse(
    pictures: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    rows: list[Row],
    option: str,
    dimensions: list[int],
    stored: bool,
) -> None:
    mu = torch.tensor([[-3.31, 0.6, 2.2, 9.0]])
    monkeypatch.setattr(Given, "encode", lambda *_: Posterior(mu, torch.zeros(1, LATENT)))
    mean, sd = torch.zeros(LATENT), torch.ones(LATENT)
    if stored:
        save_samplers()
        far = torch.arange(1.0, LATENT + 1)
        mean, sd = far / 2, (1 + far.square() / 4).sqrt()
    assert main(["traverse", str(pictures[0]), *option.split()]) == 0
    vae = load_vae(CONV, CPU)
    lines = [np.concatenate([read(pictures[:1], vae) / 255.0, decode(vae, mu)])]
    for dimension in dimensions:
        z = mu.repeat(7, 1)
        z[:, dimension] = mean[dimension] + sd[dimension] * torch.arange(-3.0, 4.0)
        lines.append(decode(vae, z))
        own = (mu[0, dimension] - mean[dimension]) / sd[dimension]
        assert rows[len(lines) - 1].framed == int(own.clamp(-3, 3).round()) + 3
    assert_shows(rows, *lines)
    if not (stored or option):
        assert [row.label for row in rows[1:3]] == [
            "z3: +9.0 sd, 40.5 nats",
            "z0: −3.3 sd, 5.5 nats",
        ]


@pytest.mark.parametrize(("size", "channels", "scale", "side"), [(16, 3, 0, 128), (28, 1, 2, 56)])
def test_a_sheet(size: int, channels: int, scale: int, side: int) -> None:
    shape = (5, channels, size, size)
    images = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    rows = [
        Row(images[:3], ["a", "a caption much longer than an image is wide", "c"]),
        Row(images[3:]),
    ]
    shown = np.asarray(draw_sheet([rows[0], rows[1]._replace(framed=1)], scale or None))
    plain = np.asarray(draw_sheet([rows[0], rows[1]], scale or None))
    gap = max(4, side // 24)
    tops = [shown.shape[0] - 2 * (side + gap), shown.shape[0] - side - gap]
    for i, image in enumerate(images):
        top, left = tops[i // 3], gap + i % 3 * (side + gap)
        enlarged = np.kron(image.transpose(1, 2, 0), np.ones((side // size, side // size, 1)))
        np.testing.assert_array_equal(
            shown[top : top + side, left : left + side], enlarged + 0 * shown[:1, :1]
        )
    assert (shown[: tops[0] - 1].min(2) < 128).any()
    rim = (shown != plain)[tops[1] - gap // 2 :, left - gap // 2 : left + side + gap // 2]
    assert rim.any(2).sum() == (side + gap // 2 * 2) ** 2 - side**2


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 128)])
@pytest.mark.parametrize("posterior", ["gaussian", "point"])
def test_models_of_other_kinds(
    pictures: list[Path], channels: int, size: int, posterior: str
) -> None:
    save_model(channels=channels, size=size, posterior=posterior)
    save_samplers()
    for command in ("sample", "encode", "reconstruct", "traverse", "interpolate"):
        named = map(str, pictures[: {"sample": 0, "interpolate": 2}.get(command, 1)])
        assert main([command, *named]) == 0
    with Path("codes.csv").open(newline="") as file:
        assert ("logvar_0" in next(csv.reader(file))) == (posterior == "gaussian")


def test_which_model(
    pictures: list[Path], rows: list[Row], capsys: pytest.CaptureFixture[str]
) -> None:
    fc, other = Path("models/toys/fc"), Path("models/others/fc")
    draw = "sample --from prior --temperature 0.7 --count 1"
    for folder, seed in ((fc, 0), (CONV, 5)):
        save_model(folder, seed=seed)
    assert main(draw.split()) == 0
    assert capsys.readouterr().out.endswith(f"by {CONV}\n")
    save_model(other)
    for option, folder in {
        "--data toys": CONV,
        "--data toys --net fc": fc,
        "--data others": other,
        f"--model {seed_dir(CONV, 5)}": seed_dir(CONV, 5),
    }.items():
        rows.clear()
        assert main(f"{draw} {option}".split()) == 0
        assert capsys.readouterr().out.endswith(f"by {folder}\n")
        assert_shows(rows, decode(load_vae(folder, CPU), Prior(LATENT, 0.7).sample(1, seeded())))
    for option, message in {
        "": "--data takes others, toys",
        "--data absent": "models/ has no model of absent; --data takes others, toys",
        "--data others --net conv": "models/others has no conv; --net takes fc",
        f"--data toys --model {CONV}": "leave out --data and --net",
    }.items():
        assert main(["sample", *option.split()]) == 2
        assert message in capsys.readouterr().err


def test_a_folder_that_is_empty_while_its_model_is_trained_is_said(
    pictures: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(CONV.with_name("fc"))
    shutil.rmtree(CONV)
    draw = "sample --from prior --count 1"
    assert main(draw.split()) == 0
    CONV.mkdir()
    assert main(draw.split()) == 2
    said = "models/toys/conv holds no model, as while it is trained; --net takes fc"
    assert said in capsys.readouterr().err
    assert main([*draw.split(), "--net", "fc"]) == 0


def test_a_folder_stands_for_the_pictures_in_it(
    pictures: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    save_nonsense()
    Path("pictures/.hidden.png").write_text("no picture")
    Path("pictures/sub.png").mkdir()
    Path("pictures/a.jpg").write_text("text")
    assert main(["encode", "pictures", str(pictures[0]), "--out", "folder.csv"]) == 0
    assert capsys.readouterr().err == "pictures/a.jpg is not a picture; left out\n"
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


def save_nonsense() -> None:
    for folder in ("broken", "empty", "a.png", "models/toys/fc/seed_0"):
        Path(folder).mkdir(parents=True)
    for text in ("text.jpg", "broken/a.png", "broken/b.png", f"models/toys/fc/seed_0/{CONFIG}"):
        Path(text).write_text("text")
    save_samplers(1)
    (SAMPLERS / "class.safetensors").write_text("text")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sample --model absent/conv", "absent/conv holds no readable model"),
        ("sample --net fc", "fc/seed_0 holds no readable model (config.json is not what this ver"),
        ("sample", "mixture.safetensors has 1 dimensions, the model 4; `dvc repro compare@toys`"),
        ("sample --from class", "class.safetensors is damaged"),
        ("sample --from flow", "there is no samplers/toys/conv/seed_0/flow.safetensors; `dvc repr"),
        ("sample --from flow", "`dvc repro compare@toys` makes it; --from prior needs none"),
        ("traverse pictures/3.png", "mixture.safetensors has 1 dimensions"),
        ("encode pictures --out text.jpg/a.csv", "text.jpg/a.csv cannot be written: "),
        ("reconstruct pictures --out a.png", "a.png cannot be written: Is a directory"),
        ("reconstruct pictures absent.jpg", "absent.jpg cannot be read: No such file"),
        ("reconstruct text.jpg", "text.jpg is not a picture"),
        ("encode broken broken/b.png", "broken/b.png is not a picture"),
        ("encode broken", "no picture can be read; the first: broken/a.png is not a picture"),
        ("encode empty", "empty is a folder without pictures"),
        ("traverse pictures", "pictures is a folder; name one picture"),
        ("interpolate pictures/3.png pictures", "pictures is a folder; name one"),
        ("reconstruct pictures --out pictures/3.png", "--out names pictures/3.png, one of"),
        ("traverse pictures/3.png --dimension 4", "no dimension 4 in models/toys/conv: 0 to 3"),
        ("sample --temperature 0.5", "--temperature is the prior's; add --from prior"),
        ("", "Missing command"),
        ("paint", "No such command 'paint'"),
        ("reconstruct", "Missing argument 'FILES...'"),
        ("sample --count 0", "0 is not in the range 1<=x<=1024"),
        ("sample --from far", "'far' is not one of 'mixture', 'class', 'flow', 'prior'"),
        ("sample --out a.jpg", "--out a.jpg does not end in .png"),
        ("encode a --scale 2", "No such option '--scale'"),
    ],
)
def test_what_a_person_can_mend_is_one_line(
    pictures: list[Path], capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    save_nonsense()
    before = {file: file.is_file() and file.read_bytes() for file in Path().rglob("*")}
    assert main(line.split()) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert captured.err.startswith("vaelab")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert {file: file.is_file() and file.read_bytes() for file in Path().rglob("*")} == before


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (KeyboardInterrupt(), 130, ""),
        (PermissionError(13, "No", "models"), 2, "vaelab sample: [Errno 13] No: 'models'\n"),
        (MemoryError(), 2, f"vaelab sample: {OUT_OF_MEMORY}\n"),
    ],
)
def test_what_stops_a_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    line: str,
) -> None:
    replace(monkeypatch, Mock(side_effect=error))
    assert main(["sample"]) == status
    assert capsys.readouterr() == ("", line)


def test_a_mistake_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    replace(monkeypatch, Mock(side_effect=ZeroDivisionError))
    with pytest.raises(ZeroDivisionError):
        main(["sample"])


@pytest.mark.filterwarnings("error")
def test_libraries_warn_of_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def warn(**options: Any) -> str:
        warnings.warn("a picture's metadata", stacklevel=1)  # an error here, if it were heard
        logging.getLogger("PIL").error("a picture's metadata")
        return "written"

    replace(monkeypatch, warn)
    assert main(["sample"]) == 0
    logging.getLogger("PIL").error("heard again")
    assert caplog.messages == ["heard again"]


def test_values_that_do_not_fit_their_type_are_said(
    pictures: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    deep = np.tile(np.linspace(0, 4095, 24).astype(np.uint16), (24, 1))
    Image.fromarray(deep).save("deep.png")
    assert main(["encode", "deep.png"]) == 0
    said = "1 16-bit grey pictures hold values from 0 to 4095, and 65535 is shown as white\n"
    assert capsys.readouterr().err == said
    assert main(["encode", str(pictures[1])]) == 0
    assert not capsys.readouterr().err


def test_names_that_are_no_text(pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Path(os.fsdecode("日本 $x^$\n\udcff".encode("utf-8", "surrogateescape") + b".png"))
    odd.write_bytes(pictures[3].read_bytes())
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    for command in ("reconstruct", "traverse", "encode"):
        assert main([command, str(odd)]) == 0
    assert main(["interpolate", str(odd), str(odd), "--steps=2"]) == 0
    lines = written.getvalue().decode("ascii").splitlines()
    assert len(lines) == 4
    assert r"\u65e5\u672c $x^$\n\xff.png" in lines[1]
    table = Path("codes.csv").read_text(encoding="utf-8", errors="surrogateescape")
    assert next(csv.DictReader(io.StringIO(table, newline="")))["file"] == str(odd)


def test_nobody_reads_stdout() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [sys.executable, "-m", "vaelab", "--help"]
    with os.fdopen(writer, "w") as closed:
        ended = subprocess.run(arguments, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize(("line", "status"), [("--help", 0), ("traverse -h", 0), ("sample x", 2)])
def test_help_and_mistakes_import_nothing_heavy(line: str, status: int) -> None:
    heavy = "torch", "numpy", "matplotlib", "PIL", "pydantic"
    script = (
        f"import sys, vaelab.cli; status = vaelab.cli.main({line.split()})\n"
        f"sys.exit(str(set({heavy}) & set(sys.modules)).replace('set()', '') or status)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert ended.returncode == status, ended.stderr


def test_the_entry_point() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert EntryPoint("vaelab", project["scripts"]["vaelab"], "console_scripts").load() is main
