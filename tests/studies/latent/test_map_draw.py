"""Pictures of the map: of any split they fit on their canvas, and are coloured by what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import assert_fits

from vaelab.studies.latent.map_draw import EncodingMap, Palette, Reading, draw_encodings, draw_radii

RNG = np.random.default_rng(0)
NAMES = [f"a class of number {i}" for i in range(12)]
HUE = Reading("background_hue", 0.99, torch.linspace(0.0, 0.99, 30), circular=True)
SIZE = Reading("size", 0.5, torch.linspace(1.0, 2.0, 30), circular=False)


def encoding_map(reading: Reading | None, tsne: bool = True, count: int = 30) -> EncodingMap:
    uv = torch.from_numpy(RNG.normal(size=(count, 2)))
    return EncodingMap(uv, torch.tensor([0.5, 0.25]), uv if tsne else None, reading)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("reading", [None, HUE, SIZE])
@pytest.mark.parametrize(("models", "classes"), [(["conv"], 1), (["fc", "conv"], 12)])
def test_maps_of_any_split(models: list[str], classes: int, reading: Reading | None) -> None:
    for tsne in (True, False):
        maps = {model: encoding_map(reading, tsne) for model in models}
        figure = draw_encodings(maps, np.arange(30) % classes, NAMES)
        assert_fits(figure)
        titles = [axes.get_title(loc="left") for axes in figure.axes]
        assert any("by class" in title for title in titles) == (classes > 1)
        assert any("R²" in title for title in titles) == (reading is not None)


def test_colours_are_of_the_class_and_of_what_is_read() -> None:
    figure = draw_encodings({"conv": encoding_map(HUE)}, np.arange(30) % 2, NAMES)
    by_class, by_hue, by_tsne, *_ = figure.axes
    assert by_hue.get_title(loc="left") == "Conv, PCA, by background hue (R² 0.99)"
    hues = by_hue.collections[0]
    assert sorted(hues.get_array()) == pytest.approx(HUE.values.tolist())
    assert hues.get_cmap().name == "hsv"
    assert by_class.collections[0].get_array() is None
    assert len(by_class.lines) == 2  # the means of the classes
    assert "t-SNE, by class" in by_tsne.get_title(loc="left")
    rotation = HUE._replace(name="rotation").colours["cmap"]
    assert (rotation, SIZE.colours["cmap"]) == ("twilight", "viridis")


def test_a_model_whose_encodings_do_not_vary_stands_beside_one_whose_do() -> None:
    maps = {"fc": encoding_map(None, tsne=False), "conv": encoding_map(SIZE)}
    figure = draw_encodings(maps, np.zeros(30, np.int64), NAMES)
    assert_fits(figure)
    assert "do not vary" in figure.axes[0].get_title(loc="left")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [1, 40])
def test_radii(count: int) -> None:
    figure = draw_radii({"conv": RNG.uniform(1.0, 3.0, count)}, latent_dim=4)
    assert_fits(figure)


def test_the_largest_classes_have_colours() -> None:
    palette = Palette(np.concatenate([np.arange(12), np.arange(2, 12)]), NAMES)
    assert [*palette.colours] == [*range(2, 12)]
    assert palette.of(np.array([0, 1])) == ["0.75", "0.75"]
    assert palette.handles()[-1].get_label() == "2 others"
