"""The chapter on directions, and its figures: what is said, where it is not, and what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vaelab.plotting.style import save
from vaelab.report.directions import TABLED, directions_chapter
from vaelab.studies.latent.directions import MEASURES, STEPS
from vaelab.studies.latent.draw_directions import (
    RANKED,
    draw_arithmetic,
    draw_auc,
    draw_scores,
    draw_walks,
)

WALKED: dict[str, Any] = {
    "share": 0.9, "share_other": 0.8, "without_start": -0.1, "without_forth": 0.75,
    "with_start": 1.1, "with_back": 0.25, "change": 0.0512, "shift": 0.4, "sharpness": 0.97,
    "averaged": 32, "real_hit": 0.8, "start_hit": 0.2, "start_hit_other": 0.23, "start_change": 0.0,
    "single_hit": 0.6, "single_hit_other": 0.62, "single_change": 0.25,
    "mean_hit": 0.7, "mean_hit_other": 0.72, "mean_change": 0.08,
}  # fmt: skip
UNKNOWN = dict.fromkeys(MEASURES)


def rows(name: str, auc: float | None = 0.9, walked: bool = True, **figures: Any) -> list[dict]:
    """One direction of both models; Conv's AUC is 0.05 above FC's."""
    return [
        {
            "direction": name,
            "rest": f"not {name}",
            "model": model,
            "train_with": 4000,
            "train_without": 6000,
            "test_with": 400,
            "test_without": 600,
            "auc": None if auc is None else auc + extra,
            "chance": None if auc is None else 0.537,
            "beats_chance": auc is not None and auc + extra > 0.537,
            "length": length,
            **(WALKED if walked else UNKNOWN),
            **figures,
        }
        for model, extra, length in (("fc", 0.0, 2.0), ("conv", 0.05, 3.0))
    ]


def cosines(*values: list[float | None]) -> dict[str, list[list[float | None]]]:
    return {"fc": [*values], "conv": [*values]}


def test_keys_are_those_of_the_rows():
    assert tuple(WALKED) == MEASURES


def test_nothing_to_say():
    chapter = directions_chapter([], [], {})
    assert chapter.findings == []
    assert "neither attributes nor two classes" in chapter.body
    assert "`attributes.csv`" in chapter.body
    assert "![" not in chapter.body


def test_findings():
    every = [*rows("cat", 0.7), *rows("hat", 0.9), *rows("dog", 0.6, walked=False)]
    for row in every:
        if row["direction"] == "cat":
            row["length"], row["shift"] = 1.0, 0.46
    chapter = directions_chapter(every, ["cat", "hat"], cosines([1.0, -0.6], [-0.6, 1.0]))
    assert (min(STEPS), max(STEPS)) == (-2.0, 2.0)
    assert chapter.findings == [
        "Along directions of means, *hat* is held best (AUC 0.90 FC, 0.95 Conv), *dog* least "
        "(0.60, 0.65); the mean of 3 is 0.73 and 0.78, and chance 0.5.",
        "Over steps from −2 to 2, from images with and without, decoded images make 90% (FC) and "
        "90% (Conv) of the move asked for, in the other model's eyes 80% and 80%.",
        "One step along the direction or back changes an image by 0.051 (FC) and 0.051 (Conv) "
        "RMSE per pixel and leaves 0.97 and 0.97 of its sharpness.",
        "43% (FC) and 43% (Conv) of the squared change of one step is one colour added all over "
        "the image, most along *cat*: 46% (FC) and 46% (Conv).",
        "What a − b + c gives is placed nearer to the images with it by the model's own encoder "
        "in 70% (FC) and 70% (Conv) of trials with means of 32 and in 60% and 60% with single "
        "images, by the other model's in 72% and 72% and in 62% and 62%; the own encoder so places "
        "20% and 20% of the c's as they were and 80% and 80% of real images with it. Means change "
        "c by 0.08 and 0.08 RMSE per pixel, single images by 0.25 and 0.25.",
        "The directions of *cat* and *hat* are not independent: their cosine is −0.60 (FC) and "
        "−0.60 (Conv), and one step along the first is at once −0.30 (FC) and −0.20 (Conv) of a "
        "step along the second.",
    ]
    hat = "| **hat** | not hat | 4,000 | 6,000 | 0.90 | 0.95 | 2.00 | 3.00 |"
    cat = "| **cat** | not cat | 4,000 | 6,000 | 0.70 | 0.75 | 1.00 | 1.00 |"
    assert chapter.body.index(hat) < chapter.body.index(cat) < chapter.body.index("| dog |")
    assert "Those in bold are walked along." in " ".join(chapter.body.split())
    assert (
        "| cat | 90% | 80% | 0.051 | 46% | 0.97 | 90% | 80% | 0.051 | 46% | 0.97 |" in chapter.body
    )
    hits = "20% / 23% | 60% / 62% | 70% / 72% | 80%"
    assert f"| cat | {hits} | {hits} |" in chapter.body
    assert "| cat | −0.60 / −0.60 |" in chapter.body
    for name in ("directions", "direction_scores", "directions_auc", "arithmetic"):
        assert f"](latent_explore/{name}.png)" in chapter.body
    assert "All of it: [directions.csv](latent_explore/directions.csv)." in chapter.body


def test_no_name_is_bold_where_all_are_walked_along():
    body = directions_chapter(rows("cat"), ["cat"], cosines([1.0])).body
    assert "| cat | not cat |" in body
    assert "bold" not in body


def shift_finding(**shifts: tuple[float, float]) -> str:
    """shifts: direction -> FC's and Conv's."""
    every = [row for name in shifts for row in rows(name)]
    for row in every:
        row["shift"] = shifts[row["direction"]][row["model"] == "conv"]
    matrix = cosines(*[[0.0] * len(shifts)] * len(shifts))
    (text,) = (
        finding
        for finding in directions_chapter(every, [*shifts], matrix).findings
        if "one colour" in finding
    )
    return text


def test_a_step_that_is_mostly_one_colour():
    assert shift_finding(a=(0.501, 0.499), b=(0.87, 0.88), c=(0.05, 0.06)) == (
        "Of the squared change of one step, one colour added all over the image is 87% (FC) and "
        "88% (Conv) along *b*: this direction is mostly a lightness or a tint, not a shape; along "
        "the others it is 5% to 50%."
    )
    assert shift_finding(a=(0.68, 0.67), b=(0.79, 0.77)) == (
        "Of the squared change of one step, one colour added all over the image is 79% (FC) and "
        "77% (Conv) along *b* and 68% (FC) and 67% (Conv) along *a*: these directions are mostly a "
        "lightness or a tint, not a shape."
    )
    assert shift_finding(a=(0.9, 0.4)) == (
        "90% (FC) and 40% (Conv) of the squared change of one step is one colour added all over "
        "the image."
    )


@pytest.mark.parametrize("cosine", [0.49, None])
def test_independent_directions_are_no_finding(cosine):
    every = [*rows("cat"), *rows("hat")]
    chapter = directions_chapter(every, ["cat", "hat"], cosines([1.0, cosine], [cosine, 1.0]))
    assert "not independent" not in " ".join(chapter.findings)
    assert len(chapter.findings) == 5


def test_the_pair_that_goes_together_most():
    every = [*rows("a"), *rows("b"), *rows("c")]
    matrix = cosines([1.0, 0.5, -0.9], [0.5, 1.0, None], [-0.9, None, 1.0])
    assert "*a* and *c*" in directions_chapter(every, ["a", "b", "c"], matrix).findings[-1]


def test_within_chance():
    every = [*rows("cat", 0.53), *rows("hat", 0.4)]
    matrix = cosines([1.0, 0.9], [0.9, 1.0])
    chapter = directions_chapter(every, ["cat", "hat"], matrix)
    assert chapter.findings[1] == (
        "Within chance, which by itself reaches an AUC of 0.54, are the directions of *cat*, "
        "*hat* (FC); and of *hat* (Conv): in test images the means of those with and of those "
        "without do not lie apart along them, and no finding on walks or arithmetic is of them."
    )
    assert chapter.findings[2] == (
        "Over steps from −2 to 2, from images with and without, decoded images make 90% (Conv) of "
        "the move asked for, in the other model's eyes 80%."
    )
    assert "### Walks along them" in chapter.body


def test_all_within_chance():
    every = [*rows("hat", 0.41), *rows("cat", 0.48), *rows("dog", 0.4)]
    chapter = directions_chapter(every, ["cat", "hat"], cosines([1.0, 0.9], [0.9, 1.0]))
    assert chapter.findings == [
        "No direction of means is held better than by chance: the AUCs are 0.40 to 0.53, and "
        "chance alone reaches 0.54; in test images the means of those with and of those without "
        "do not lie apart along them."
    ]
    order = [chapter.body.index(f"\n| {name} |") for name in ("hat", "cat", "dog")]
    assert order == sorted(order)
    assert "None that was chosen is known to be held better" in " ".join(chapter.body.split())
    assert "###" not in chapter.body
    assert "bold" not in chapter.body
    assert chapter.body.count("](") == 2
    assert chapter.body.endswith("(latent_explore/directions_auc.png)")


def test_those_chosen_are_within_chance_and_others_not():
    every = [*rows("hat", 0.9, walked=False), *rows("cat", 0.4)]
    chapter = directions_chapter(every, ["cat"], cosines([1.0]))
    assert chapter.findings[0].startswith("Along directions of means, *hat* is held best (AUC 0.90")
    assert "are the directions of *cat* (FC and Conv):" in chapter.findings[1]
    assert len(chapter.findings) == 2
    assert "###" not in chapter.body


def test_what_was_not_measured_is_not_spoken_of():
    absent = {key: None for key in MEASURES if "start" in key or "hit" in key or "mean" in key}
    every = rows("cat", sharpness=None, shift=None, averaged=None, **absent)
    chapter = directions_chapter(every, ["cat"], cosines([1.0]))
    assert chapter.findings == [
        "Along the direction of means, *cat* is held (AUC 0.90 FC, 0.95 Conv); chance is 0.5.",
        "Over steps from −2 to 2, from images with and without, decoded images make 90% (FC) and "
        "90% (Conv) of the move asked for, in the other model's eyes 80% and 80%.",
        "One step along the direction or back changes an image by 0.051 (FC) and 0.051 (Conv) "
        "RMSE per pixel.",
    ]
    for absent_part in ("Arithmetic", "arithmetic.png", "directions_auc", "Cosine"):
        assert absent_part not in chapter.body
    unseen = directions_chapter(rows("cat", None, **absent), ["cat"], cosines([1.0]))
    assert unseen.findings == []
    assert "| cat | not cat | 4,000 | 6,000 | – | – | 2.00 | 3.00 |" in unseen.body
    assert "None that was chosen is known to be held better" in " ".join(unseen.body.split())


def test_many_directions():
    every = [row for i in range(25) for row in rows(f"a{i}", 0.5 + i / 100, walked=i == 24)]
    chapter = directions_chapter(every, ["a24"], cosines([1.0]))
    assert chapter.body.count("| not a") == TABLED
    assert "5 more are not in this table. All of it: [directions.csv]" in chapter.body
    assert "| **a24** | not a24" in chapter.body
    assert "| a4 | not a4" not in chapter.body


# --- figures --------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)


def pictures(*shape: int, channels: int = 3) -> np.ndarray:
    return RNG.random((*shape, channels, 16, 16), np.float32)


def test_walks(tmp_path):
    names = [["not Wearing_Necktie", "Wearing_Necktie"], ["cat"]]
    walks = {model: [pictures(2, 5), pictures(1, 5)] for model in ("fc", "conv")}
    figure = draw_walks([pictures(2), pictures(1)], names, walks, [-2.0, -1.0, 0.0, 1.0, 2.0])
    assert len(figure.axes) == 6
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [
        "not Wearing\nNecktie", "Wearing Necktie"
    ]  # fmt: skip
    ticks = [tick.get_text() for tick in figure.axes[1].get_xticklabels()]
    assert ticks == ["−2", "−1", "0", "+1", "+2"]
    shown = figure.axes[4].images[0].get_array()
    assert shown.shape == (16, 5 * 18 - 2, 3)
    first = walks["fc"][1][0, 0].transpose(1, 2, 0)
    np.testing.assert_allclose(shown[:, :16] / 255, first, atol=1 / 255)
    save(figure, tmp_path / "walks.png")
    save(
        draw_walks([pictures(2), pictures(1)], names, walks, [-2.0, -1.0, 0.0, 1.0, 2.0]),
        tmp_path / "other.png",
    )
    assert (tmp_path / "walks.png").stat().st_size > 5000


def test_scores():
    steps = [-1.0, 0.0, 1.0]
    ours = ([-0.9, 0.0, 0.8], None)
    figure = draw_scores(["a", "b", "c", "d", "e"], {"fc": [ours] * 5, "conv": [ours] * 5}, steps)
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title() for axes in shown] == ["a", "b", "c", "d", "e"]
    lines = [line.get_ydata().tolist() for line in shown[1].lines]
    assert lines == [[-1.0, 0.0, 1.0], [0.0, 1.0, 2.0], ours[0], ours[0]]


@pytest.mark.parametrize("count", [1, 2, 32])
def test_arithmetic(count):
    terms = (pictures(count, channels=1), pictures(count, channels=1), pictures(1, channels=1))
    results = {model: [pictures(3, channels=1)] for model in ("fc", "conv")}
    figure = draw_arithmetic(["cat"], [terms], results)
    assert len(figure.axes) == 2 * 7
    single, means = figure.axes[:7], figure.axes[7:]
    assert single[0].images[0].get_array().shape == (16, 16, 3)
    assert means[0].images[0].get_array().shape[1] == {1: 16, 2: 34, 32: 34}[count]
    np.testing.assert_array_equal(
        single[3].images[0].get_array(), means[3].images[0].get_array()
    )  # c
    expected = results["conv"][0][2, 0]
    np.testing.assert_allclose(means[6].images[0].get_array()[..., 0] / 255, expected, atol=1 / 255)
    assert means[0].get_ylabel() == f"cat\nmeans of {count}"


def test_auc_ranks_and_cuts():
    names = [f"a_{i}" for i in range(30)]
    auc = {"fc": [0.5 + i / 100 for i in range(29)] + [None], "conv": [0.6] * 29 + [None]}
    axes = draw_auc(names, auc, ["a_28"]).axes[0]
    ticks = axes.get_yticklabels()
    assert [tick.get_text() for tick in ticks] == [f"a {i}" for i in range(28, 28 - RANKED, -1)]
    assert [tick.get_fontweight() for tick in ticks[:2]] == ["bold", "normal"]
    unranked = draw_auc(names, auc, [], ranked=False).axes[0].get_yticklabels()
    assert [tick.get_text() for tick in unranked] == [f"a {i}" for i in range(RANKED)]
    known = draw_auc(["a", "b"], {"fc": [0.6, None], "conv": [None, None]}, ["a"]).axes[0]
    assert known.lines[1].get_xdata().tolist() == [0.6]
