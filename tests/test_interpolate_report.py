"""The interpolation report on made-up figures, and its pictures on made-up images."""

from __future__ import annotations

import io
import re
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vaelab.plotting.style import save
from vaelab.report.interpolate import MEASURES, RULE, interpolate_report
from vaelab.studies.interpolate.draw import (
    _encode,
    _frames,
    draw_corners,
    draw_pair,
    draw_steps,
    save_animation,
    short,
)
from vaelab.studies.interpolate.paths import PATH_KINDS
from vaelab.studies.interpolate.smoothness import Difference, Row

Changes = dict[tuple[str, ...], Any]

MAX_BYTES = 500_000
ENERGIES = {"fc": (0.2, 0.15), "conv": (0.2, 0.18)}
LINEAR = {
    "detour": 1.02, "largest": 1.1, "evenness": 0.1, "sharpness": 0.75, "contrast": 0.78,
    "departure": 0.07, "density": 0.25, "nearest": 0.12, "ends": 0.06,
}  # fmt: skip
EVERY = [(model, kind) for model in ("fc", "conv") for kind in PATH_KINDS]
FADE = {
    "detour": 1.0, "largest": 1.0, "evenness": 0.0, "sharpness": 0.76, "contrast": 0.73,
    "departure": 0.0, "density": None, "nearest": 0.13, "ends": 0.0,
}  # fmt: skip


def rows(changes: Changes, groups: tuple[str, ...] = ("all",)) -> list[Any]:
    """changes: (model, kind) or (model, kind, group) -> figures that differ from those above."""
    result = []
    for model, kind in [
        ("pixels", "linear"),
        *((m, k) for m in ("fc", "conv") for k in PATH_KINDS),
    ]:
        for group in groups:
            figures = FADE if model == "pixels" else LINEAR
            for key in ((model, kind), (model, kind, group)):
                figures = figures | changes.get(key, {})
            sds = {f"{name}_sd": None if figures[name] is None else 0.5 for name in MEASURES}
            count = 200 if group == "all" else 100
            result.append(
                {"model": model, "kind": kind, "pairs": group, "count": count} | figures | sds
            )
    return result


def differences(table: list[Any], error: float) -> dict[tuple[str, Row, Row], Difference]:
    """Of all rows, with the same standard error."""
    named = {(row["model"], row["kind"], row["pairs"]): row for row in table}
    return {
        (measure, one, two): Difference(named[one][measure] - named[two][measure], error)
        for one, two in permutations(named, 2)
        for measure in MEASURES
        if None not in (named[one][measure], named[two][measure])
    }


def report(
    changes: Changes,
    groups: tuple[str, ...] = ("all",),
    energies: dict[str, tuple[float, float]] = ENERGIES,
    error: float | None = 0.001,
) -> str:
    """error: standard error of all differences; None: there are not pairs enough to know it."""
    table = rows(changes, groups)
    known = {} if error is None else differences(table, error)
    return interpolate_report("toys", 16, 3, table, known, energies, 0.14)


def words(*args: Any, **kwargs: Any) -> str:
    return " ".join(report(*args, **kwargs).split())


def test_what_beats_the_cross_fade() -> None:
    text = words({("fc", "slerp"): {"contrast": 0.99, "sharpness": 1.01, "nearest": 0.15}})
    assert "Contrast of the middle over that of its ends: cross-fade 0.73; FC 0.78 linear, " in text
    assert "FC 0.75 linear, 1.01 spherical, 0.75 data-following" in text
    assert "Above the cross-fade: FC spherical. - Distance" in text
    assert "originals 0.140; cross-fade 0.130; FC 0.120 linear, 0.150 spherical" in text


def test_nothing_beats_the_cross_fade() -> None:
    dull = {"contrast": 0.7, "sharpness": 0.7}
    text = words(dict.fromkeys(EVERY, dull))
    assert text.count("the cross-fade: none.") == 2


def test_what_is_nearly_a_cross_fade() -> None:
    text = words({("fc", "slerp"): {"departure": 0.24}, ("conv", "geodesic"): {"departure": 0.1}})
    nearly = re.search(r"Up to 0\.1, nearly cross-fades of two reconstructions, are: ([^.]*)", text)
    assert nearly
    assert nearly[1] == (
        "FC linear, FC data-following, Conv linear, Conv spherical and Conv data-following"
    )
    far = {(m, k): {"departure": 0.3} for m, k in EVERY}
    assert "All are above 0.1." in words(far)


def in_short(text: str) -> list[str]:
    """The sentences."""
    chapter = text.split("## In short\n\n")[1].split("\n\n")[0]
    return [" ".join(item.split()) for item in chapter.removeprefix("- ").split("\n- ")]


@pytest.mark.parametrize(
    ("departures", "sentence"),
    [
        (
            {("fc", "slerp"): 0.23, ("conv", "slerp"): 0.24},
            "Linear and data-following paths are nearly cross-fades of two reconstructions: in the "
            "middle they are on average 0.07 of the distance between their ends away from it, the "
            "others 0.23 "
            "to 0.24.",
        ),
        (
            {("fc", "slerp"): 0.23, ("conv", "slerp"): 0.24, ("conv", "geodesic"): 0.3},
            "FC linear, FC data-following and Conv linear paths are nearly cross-fades of two "
            "reconstructions: in the middle they are on average 0.07 of the distance between "
            "their ends away from it, the others 0.23 to 0.30.",
        ),
        (
            {path: 0.1 + 0.05 * (path == ("fc", "slerp")) + 0.02 for path in EVERY},
            "No path is nearly a cross-fade of two reconstructions: in the middle they are on "
            "average "
            "0.12 to 0.17 of the distance between their ends away from it.",
        ),
        (
            {},
            "All paths are nearly cross-fades of two reconstructions: in the middle they are on "
            "average "
            "0.07 of the distance between their ends away from it.",
        ),
    ],
)
def test_in_short_what_is_nearly_a_cross_fade(
    departures: dict[tuple[str, str], float], sentence: str
) -> None:
    changes: Changes = {path: {"departure": value} for path, value in departures.items()}
    assert in_short(report(changes))[0] == sentence


@pytest.mark.parametrize(
    ("contrasts", "sentence"),
    [
        (
            {("fc", "slerp"): 0.96, ("conv", "slerp"): 1.04},
            "Spherical paths keep the contrast of their ends in the middle within 5% (0.96 to "
            "1.04; cross-fade of the originals 0.73); the others have 0.78 of it.",
        ),
        (
            {("fc", "slerp"): 1.2},
            "No path keeps the contrast of its ends in the middle within 5%: they have 0.78 to "
            "1.20 of it (cross-fade of the originals 0.73).",
        ),
        (
            dict.fromkeys(EVERY, 1.0),
            "All paths keep the contrast of their ends in the middle within 5% (1.00; cross-fade "
            "of the originals 0.73).",
        ),
    ],
)
def test_in_short_what_keeps_contrast(
    contrasts: dict[tuple[str, str], float], sentence: str
) -> None:
    changes: Changes = {path: {"contrast": value} for path, value in contrasts.items()}
    assert in_short(report(changes))[1] == sentence


def test_in_short_where_the_models_differ() -> None:
    changes: Changes = {
        ("conv", "linear"): {"evenness": 0.2},
        ("conv", "slerp"): {"sharpness": 0.6},
    }
    assert in_short(report(changes))[2] == (
        "FC and Conv differ in 2 of 15 figures of their paths; by the largest share in how much "
        "the steps of linear paths vary, as a share of their mean (FC 0.100, Conv 0.200)."
    )
    nowhere = "FC and Conv differ in none of 15 figures of their paths."
    assert in_short(report({}))[2] == nowhere
    assert in_short(report(changes, error=0.08))[2] == nowhere


@pytest.mark.parametrize(
    ("evenness", "error", "reading"),
    [
        (0.080, 0.0010, "move less evenly (evenness 0.080 against 0.076)"),
        (0.080, 0.0021, "move as evenly (evenness 0.080 against 0.076)"),
        (0.079, 0.0001, "move as evenly (evenness 0.079 against 0.076)"),  # within 5%
    ],
)
def test_more_is_said_only_beyond_two_standard_errors(
    evenness: float, error: float, reading: str
) -> None:
    changes = {("fc", "linear"): {"evenness": 0.076}, ("conv", "linear"): {"evenness": evenness}}
    text = words(changes, error=error)
    assert f"Conv linear paths take as long a way (detour 1.020 against 1.020), {reading}" in text
    assert text.count(" ".join(RULE.split())) == 1


def test_too_few_pairs_to_compare() -> None:
    text = report({}, error=None)
    assert len(in_short(text)) == 2
    assert "Beside" not in text
    assert "Above the cross-fade" not in text
    assert "Detours" in text


def test_words_follow_the_figures() -> None:
    changes = {
        ("fc", "geodesic"): {"detour": 1.08, "evenness": 0.02, "sharpness": 0.98},
        ("conv", "linear"): {"detour": 1.025, "evenness": 0.2, "contrast": 0.6, "ends": 0.05},
    }
    text = words(changes)
    assert (
        "Beside FC linear paths, the data-following ones take a longer way (detour 1.080 against "
        "1.020), move more evenly (evenness 0.020 against 0.100), keep more sharpness in the "
        "middle (sharpness 0.98 against 0.75) and keep as much contrast (contrast 0.78 against "
        "0.78)"
    ) in text
    assert (
        "Beside FC linear paths, Conv linear paths take as long a way (detour 1.025 against "
        "1.020), move less evenly (evenness 0.200 against 0.100), keep as much sharpness in the "
        "middle (sharpness 0.75 against 0.75) and keep less contrast (contrast 0.60 against "
        "0.78); Conv shows the ends more exactly (ends 0.050 against 0.060)"
    ) in text
    assert "energy by 25% for FC and 10% for Conv" in text
    assert "FC 0.25 linear, 0.00 spherical" in words({("fc", "slerp"): {"density": -0.001}})


def test_within_a_class_and_across() -> None:
    groups = ("all", "within", "across")
    text = words({}, groups)
    assert "200 pairs, 100 within a class and 100 across classes" in text
    assert "across classes in nothing; furthest apart, by 0.0%, is contrast of FC linear" in text
    assert "| FC, linear | 1.020 / 1.020 |" in text
    changed = {("fc", "linear", "within"): {"contrast": 0.9}}
    assert ("across classes in contrast of FC linear (0.90 against 0.78).") in words(
        changed, groups
    )
    assert "furthest apart, by 13.3%, is contrast of" in words(changed, groups, error=0.1)
    assert "Within a class" not in words({})


def test_models_that_do_not_move() -> None:
    still = dict.fromkeys(MEASURES) | {"nearest": 0.0, "density": 0.0, "ends": 0.0}
    changes: Changes = {(m, k): still for m in ("fc", "conv") for k in PATH_KINDS}
    text = words(changes | {("pixels", "linear"): still}, energies={"fc": (0, 0), "conv": (0, 0)})
    assert "| FC, linear | – | – |" in text
    assert "Nothing: the images do not differ." in text
    assert "Beside" not in text
    assert "Detours" not in text
    assert "energy by" not in text
    assert not re.search(r"\b(nan|inf|None)\b", text)


def test_prose_is_wrapped() -> None:
    lines = report({}, ("all", "within", "across")).splitlines()
    assert max(len(line) for line in lines if not line.startswith("|")) <= 100


def test_pictures_come_before_tables_and_long_lists() -> None:
    text = report({}, ("all", "within", "across"))
    marks = ["**data-following**", "## In short", "pair_1.png", "steps.png", "\n| ", "**detour**"]
    marks += ["\n<details>\n<summary>All comparisons</summary>\n\n- ", ".\n\n</details>\n"]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)
    assert text.index("evenness") > text.index("## Measures")


def test_links_name_the_figures() -> None:
    links = [f"pair_{i}.png" for i in (1, 2, 3)]
    links += ["animation.gif", "corners.png", "steps.png", "measures.csv"]
    assert set(re.findall(r"\]\((.*?)\)", report({}))) == {f"interpolate/{name}" for name in links}


def test_long_names_are_cut() -> None:
    assert short("photo.jpg", 9) == "photo.jpg"
    assert short("photograph.jpg", 9) == "photogra…"


@pytest.mark.parametrize(
    ("shape", "pairs", "steps"), [((1, 16, 16), 1, 3), ((3, 32, 32), 5, 11), ((3, 64, 64), 12, 15)]
)
def test_figures_are_small(
    shape: tuple[int, int, int], pairs: int, steps: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 256, (pairs, 2, *shape), dtype=np.uint8)
    coarse = rng.random((2, pairs, steps, shape[0], 4, 4), dtype=np.float32)
    smooth = coarse.repeat(shape[1] // 4, axis=4).repeat(shape[1] // 4, axis=5)
    paths = dict(zip(("fc", "conv"), smooth, strict=True))
    one = {model: images[0] for model, images in paths.items()}
    caption = "a-photograph-with-a-name-that-goes-on-and-on.jpg (own file)"
    fade = np.linspace(ends[0, 0] / 255.0, ends[0, 1] / 255.0, steps)
    save(draw_pair((caption, caption), fade, dict.fromkeys(PATH_KINDS, one)), tmp_path / "pair.png")
    grids = {
        model: images.reshape(-1, *shape)[np.arange(49) % steps] for model, images in paths.items()
    }
    corners = rng.integers(0, 256, (4, *shape), dtype=np.uint8)
    lines = [("a-photograph-with-a-name.jpg", "own file")] * 4
    save(draw_corners(corners, lines, grids), tmp_path / "corners.png")
    sizes = {model: np.abs(np.diff(images.mean((2, 3, 4)))) for model, images in paths.items()}
    nothing = {model: every[:0] for model, every in sizes.items()}
    figure = draw_steps({"linear": sizes, "slerp": sizes, "geodesic": nothing})
    save(figure, tmp_path / "steps.png")
    assert [len(axes.get_lines()) for axes in figure.axes] == [7, 7, 1]
    save_animation(tmp_path / "animation.gif", ends, paths)
    for name in ("pair.png", "corners.png", "steps.png", "animation.gif"):
        assert 0 < (tmp_path / name).stat().st_size < MAX_BYTES
        with Image.open(tmp_path / name) as picture:
            assert picture.width <= 910
    with Image.open(tmp_path / "animation.gif") as animation:
        assert animation.n_frames == 2 * steps - 2
        assert animation.info["loop"] == 0


def test_animation_keeps_the_colours_of_small_shapes() -> None:
    """Dots that change their hue on large grounds with a faint texture."""
    texture = np.random.default_rng(0).normal(0.0, 0.02, (2, 7, 3, 8, 8)).astype(np.float32)
    images = 0.3 + texture.repeat(4, axis=3).repeat(4, axis=4)
    hues = np.linspace([[1, 0, 0], [1, 0, 1]], [[0, 1, 1], [1, 1, 0]], 7, axis=1)
    images[..., 14:18, 14:18] = hues[..., None, None]
    frames = _frames(np.zeros((2, 2, 3, 32, 32), np.uint8), {"fc": images}, side=96)
    with Image.open(io.BytesIO(_encode(frames, colours=255))) as animation:
        for step, frame in enumerate(frames):
            animation.seek(step)
            shown = np.array(animation.convert("RGB")).astype(int)
            assert np.abs(shown - np.array(frame)).max() < 80
