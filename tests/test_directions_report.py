"""The chapter on directions, and its figures: what is said, where it is not, and what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vaelab.figures.common import save
from vaelab.figures.directions import RANKED, draw_arithmetic, draw_auc, draw_scores, draw_walks
from vaelab.latent.directions import MEASURES
from vaelab.reports.directions import TABLED, directions_chapter

WALKED: dict[str, Any] = {
    "share": 0.9, "share_other": 0.8, "without_start": -0.1, "without_forth": 0.75,
    "with_start": 1.1, "with_back": 0.25, "change": 0.0512, "shift": 0.4, "sharpness": 0.97,
    "averaged": 32, "real_hit": 0.8, "start_hit": 0.2, "start_hit_other": 0.2, "start_change": 0.0,
    "single_hit": 0.6, "single_hit_other": 0.6, "single_change": 0.25,
    "mean_hit": 0.7, "mean_hit_other": 0.7, "mean_change": 0.08,
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
    assert chapter.findings == [
        "Along directions of means, FC's encodings hold *hat* with an AUC of 0.90 at best and "
        "*dog* with 0.60 at worst (mean over 3: 0.73); Conv's encodings hold *hat* with an AUC of"
        " 0.95 at best and *dog* with 0.65 at worst (mean over 3: 0.78); 0.5 is chance.",
        "A step on takes the mean score of images without from −0.10 to 0.75 (FC) and from −0.10 "
        "to 0.75 (Conv), and makes 90% (FC) and 90% (Conv) of the move asked for; in the eyes "
        "of the other model's encoder it makes 80% (FC) and 80% (Conv).",
        "A step on or back changes an image by 0.051 (FC) and 0.051 (Conv) RMSE per pixel and "
        "leaves 0.97 (FC) and 0.97 (Conv) of the image's sharpness; 43% (FC) and 43% (Conv) of "
        "the squared change is one colour all over it, most along *cat*: 46% (FC).",
        "What a − b + c gives lies nearer to the images with it in 70% (FC) and 70% (Conv) of "
        "trials with means of 32, and in 60% (FC) and 60% (Conv) with single images, against 20"
        "% (FC) and 20% (Conv) of the c's as they were and 80% (FC) and 80% (Conv) of real "
        "images with it; means change c by 0.08 (FC) and 0.08 (Conv) RMSE per pixel, single "
        "images by 0.25 (FC) and 0.25 (Conv).",
        "The directions of *cat* and *hat* are not independent: their cosine is −0.60 (FC) and "
        "−0.60 (Conv), and a step along the first is at once −0.30 (FC) and −0.20 (Conv) of a "
        "step along the second.",
    ]  # fmt: skip
    assert chapter.body.index("| hat | not hat | 4,000 | 6,000 | 0.90 | 0.95 | 2.00 | 3.00 |") < (
        chapter.body.index("| cat | not cat | 4,000 | 6,000 | 0.70 | 0.75 | 1.00 | 1.00 |")
    )
    assert (
        "| cat | 90% | 80% | 0.051 | 46% | 0.97 | 90% | 80% | 0.051 | 46% | 0.97 |" in chapter.body
    )
    assert "| cat | 20% | 60% | 70% | 80% | 20% | 60% | 70% | 80% |" in chapter.body
    assert "| cat | −0.60 / −0.60 |" in chapter.body
    for name in ("directions", "direction_scores", "directions_auc", "arithmetic"):
        assert f"](latent_explore/{name}.png)" in chapter.body


@pytest.mark.parametrize("cosine", [0.49, None])
def test_independent_directions_are_no_finding(cosine):
    every = [*rows("cat"), *rows("hat")]
    chapter = directions_chapter(every, ["cat", "hat"], cosines([1.0, cosine], [cosine, 1.0]))
    assert "not independent" not in " ".join(chapter.findings)
    assert len(chapter.findings) == 4


def test_the_pair_that_goes_together_most():
    every = [*rows("a"), *rows("b"), *rows("c")]
    matrix = cosines([1.0, 0.5, -0.9], [0.5, 1.0, None], [-0.9, None, 1.0])
    assert "*a* and *c*" in directions_chapter(every, ["a", "b", "c"], matrix).findings[-1]


def test_within_chance():
    # 1.96 standard errors: sqrt(1001 / (12 * 400 * 600)) = 0.0186, so 0.537.
    every = [*rows("cat", 0.53), *rows("hat", 0.4)]
    matrix = cosines([1.0, 0.9], [0.9, 1.0])
    chapter = directions_chapter(every, ["cat", "hat"], matrix)
    assert chapter.findings[1] == (
        "Within chance, which by itself reaches an AUC of 0.54, are the directions of *cat*, "
        "*hat* (FC); and of *hat* (Conv): they do not hold what they are named after, and no "
        "finding on walks or arithmetic is of them."
    )
    assert chapter.findings[2] == (
        "A step on takes the mean score of images without from −0.10 to 0.75 (Conv), and makes 90"
        "% (Conv) of the move asked for; in the eyes of the other model's encoder it makes 80% "
        "(Conv)."
    )
    lost = directions_chapter([*rows("cat", 0.4), *rows("hat", 0.4)], ["cat", "hat"], matrix)
    assert len(lost.findings) == 2
    assert "the directions of *cat*, *hat* (FC and Conv):" in lost.findings[0]


def test_what_was_not_measured_is_not_spoken_of():
    absent = {key: None for key in MEASURES if "start" in key or "hit" in key or "mean" in key}
    every = rows("cat", sharpness=None, shift=None, averaged=None, **absent)
    chapter = directions_chapter(every, ["cat"], cosines([1.0]))
    assert chapter.findings == [
        "Along directions of means, FC's encodings hold *cat* with an AUC of 0.90; Conv's "
        "encodings hold *cat* with an AUC of 0.95; 0.5 is chance.",
        "A step on makes 90% (FC) and 90% (Conv) of the move asked for; in the eyes of the "
        "other model's encoder it makes 80% (FC) and 80% (Conv).",
        "A step on or back changes an image by 0.051 (FC) and 0.051 (Conv) RMSE per pixel.",
    ]
    for absent_part in ("Arithmetic", "arithmetic.png", "directions_auc", "Cosine"):
        assert absent_part not in chapter.body
    unseen = directions_chapter(rows("cat", None, **absent), ["cat"], cosines([1.0]))
    assert unseen.findings == []
    assert "| cat | not cat | 4,000 | 6,000 | – | – | 2.00 | 3.00 |" in unseen.body


def test_many_directions():
    every = [row for i in range(25) for row in rows(f"a{i}", 0.5 + i / 100, walked=i == 24)]
    chapter = directions_chapter(every, ["a24"], cosines([1.0]))
    assert chapter.body.count("| not a") == TABLED
    assert "5 more are in `latent_explore/directions.csv`" in " ".join(chapter.body.split())
    assert "| a24 | not a24" in chapter.body
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
    known = draw_auc(["a", "b"], {"fc": [0.6, None], "conv": [None, None]}, ["a"]).axes[0]
    assert known.lines[1].get_xdata().tolist() == [0.6]
