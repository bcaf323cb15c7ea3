"""The page to play with: what is in the file, and what it does in a browser."""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn
from toys import Recorder, normal, save_models, small_vae, write_data, write_params

import compare
import latent_explore
from vaelab.report import index
from vaelab.report.export import Blob, CannotRun, Precision, net_of
from vaelab.runtime import tracking
from vaelab.settings import DatasetSettings, load_settings
from vaelab.vae.likelihoods import LIKELIHOODS
from vaelab.vae.model import seed_dir

SMALL = {
    **{"generated": 64, "mixture_components": 2, "flow_steps": 3, "elbo_samples": 2},
    **{"iw_samples": 3, "iw_images": 9, "samples": 4, "images": 3},
}
HISTORY = """\
epoch,train_elbo,train_reconstruction,train_kl,beta,val_elbo,val_reconstruction,val_kl,val_psnr
1,-99,98,1,1.0,-12,10,2,17
2,-9,8,1,1.0,-8,5,3,19.5
"""
LOCAL = ("file:", "blob:", "data:")


def studied(folder: Path, *, architectures: tuple[str, ...] = ("fc", "conv"), **model: str) -> None:
    """What the stage `report` finds, of untrained models, in the working folder."""
    write_params()
    tree = yaml.safe_load(Path("params.yaml").read_text())
    tree["compare"] |= SMALL
    tree["model"] |= model
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    write_data(Path("data/toys"), known_factors=True)
    save_models(**model)
    for name in ("fc", "conv"):
        own = load_settings().of("toys").model_dir(name)
        (seed_dir(own, 0) / "history.csv").write_text(HISTORY)
        if name not in architectures:
            shutil.rmtree(own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "run", Recorder().run)
        compare.main("toys")
        latent_explore.main("toys")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatasetSettings]:
    """In whose folder the module's tests stand."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        studied(folder)
        yield load_settings().of("toys")


@pytest.fixture(scope="module")
def file(settings: DatasetSettings) -> Path:
    path = Path("reports/toys/index.html").absolute()
    path.write_text(index.page(settings), "utf-8")
    return path


# --- the file ------------------------------------------------------------------------------------


def test_the_same_bytes_twice(settings: DatasetSettings, file: Path) -> None:
    assert file.read_text("utf-8") == index.page(settings)
    assert file.stat().st_size < index.LARGEST


def test_nothing_is_fetched(file: Path) -> None:
    text = file.read_text("utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!data:|\w+\.md)""", text)
    assert not re.findall(r"https?://|@import|url\(", text)


def test_the_verdict_and_the_price_stand_first(file: Path) -> None:
    text = file.read_text("utf-8")
    first = text[: text.index('id="play"')]
    assert re.search(r"<strong>(FC|Conv) has the higher ELBO", first)
    assert "Multiply-accumulates to encode and decode: FC" in first
    assert first.count("data:image/png") == 3  # the originals, and what two models make of them
    assert not re.search(r"\*\*|`|&lt;code|\bnan\b|None", first)


def test_weights_of_8_bits_or_none_where_the_page_were_too_large(
    settings: DatasetSettings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = file.stat().st_size
    monkeypatch.setattr(index, "LARGEST", whole - 1)
    eight = index.page(settings)
    assert "weights have 8 bits here" in eight
    assert "weights have 8 bits here" not in file.read_text("utf-8")
    assert len(eight.encode()) < whole
    monkeypatch.setattr(index, "LARGEST", 0)
    without = index.page(settings)
    assert "larger than 10 MB" in without
    assert 'id="controls"' not in without


def test_a_net_that_the_page_cannot_run_is_left_out_with_its_reason(
    settings: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_fc(vae: Any, *arguments: Any) -> Any:
        if vae.config.architecture == "fc":
            raise CannotRun("AvgPool2d")
        return net_of(vae, *arguments)

    monkeypatch.setattr(index, "net_of", refuse_fc)
    text = index.page(settings)
    assert "FC is not here: this page cannot run its layer <code>AvgPool2d</code>." in text
    assert '<figure data-model="conv">' in text
    assert '<figure data-model="fc">' not in text
    assert text.count("data:image/png") == 3  # FC's reconstructions are still shown


@pytest.mark.parametrize(
    "module",
    [
        nn.AvgPool2d(2),
        nn.Conv2d(3, 3, 3, padding=1, dilation=2),
        nn.Conv2d(3, 3, 3, padding="same"),
        nn.Flatten(),  # of an image that no linear layer follows: its order would be another
    ],
)
def test_what_the_page_would_run_wrongly_is_refused(module: nn.Module) -> None:
    vae = small_vae("fc")
    assert isinstance(vae.decoder, nn.Sequential)
    vae.decoder.append(module)
    with pytest.raises(CannotRun, match=type(module).__name__):
        net_of(vae, Blob(), "float16")


def test_a_name_with_markup_is_text(
    settings: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "label", lambda name: f"</script><b>{name}")
    assert "</script><b>" not in index.page(settings)


def test_an_arrays_place_in_the_blob() -> None:
    blob = Blob()
    first = blob.add(torch.tensor([1.0, 2.0, 3.0]), "float16")
    second = blob.add(torch.tensor([[4.0], [5.0]]), "float32")
    assert first == {"at": 0, "length": 3, "kind": "float16"}
    assert second == {"at": 8, "length": 2, "kind": "float32"}
    data = base64.b64decode(blob.base64())
    assert np.frombuffer(data, "<f4", 2, 8).tolist() == [4.0, 5.0]


# --- in a browser --------------------------------------------------------------------------------


class Tab:
    """A page in a browser, which may ask for nothing and complain of nothing."""

    def __init__(self, browser: Any, file: Path, hash: str = "", **context: Any) -> None:
        self.page = browser.new_page(**context)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(f"{file.as_uri()}{hash}")
        self.page.evaluate("ready")

    def shown(self) -> str:
        """The pictures, as soon as nothing is left to decode."""
        self.page.evaluate("new Promise(requestAnimationFrame)")
        self.page.wait_for_function("models.every(({ busy }) => !busy)")
        pictures = self.page.locator("#stage [data-model] canvas")
        return str(pictures.evaluate_all("(all) => all.map((each) => each.toDataURL())"))

    def close(self) -> None:
        assert self.complaints == []
        assert [url for url in self.requests if not url.startswith(LOCAL)] == []
        self.page.close()


@pytest.fixture
def tab(browser: Any, file: Path) -> Iterator[Tab]:
    tab = Tab(browser, file)
    yield tab
    tab.close()


DROP = """(bytes) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(bytes)], "dropped.png", { type: "image/png" }));
    const drop = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer });
    document.body.dispatchEvent(drop);
}"""

RUN = """async ([net, text, codes, images]) => {
    const model = withArrays(bytesOf(text), net);
    start(model);
    const all = async (kind, inputs) => {
        const found = [];
        for (const each of inputs) {
            found.push([...(await model.ask({ [kind]: Float32Array.from(each) })).values]);
        }
        return found;
    };
    return [await all("decode", codes), await all("encode", images)];
}"""


def differences(tab: Tab, precision: Precision, *kind: Any, likelihood: str) -> tuple[float, float]:
    """Between what the page and PyTorch decode of 64 codes, and encode: the largest each."""
    torch.manual_seed(0)
    vae = small_vae(*kind, likelihood=likelihood).requires_grad_(False)
    for parameter in vae.parameters():
        parameter.mul_(2.0)  # so that pictures have contrast
    codes = 2.0 * normal(64, vae.latent_dim)
    wanted = vae.decode_mean(codes)
    pixels = wanted.permute(0, 2, 3, 1).flatten(1)
    assert pixels.std() > 0.02
    blob = Blob()
    net = net_of(vae, blob, precision)
    arguments = [net, blob.base64(), codes.tolist(), pixels[:4].tolist()]
    decoded, encoded = map(torch.tensor, tab.page.evaluate(RUN, arguments))
    apart = (encoded - vae.encode(wanted[:4]).mu).abs().max()
    return float((decoded - pixels).abs().max()), float(apart)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize(("channels", "side"), [(3, 16), (1, 36)])  # 36: a map of an odd side
@pytest.mark.parametrize("architecture", ["fc", "conv"])
def test_the_page_decodes_as_pytorch_does(
    architecture: str, channels: int, side: int, likelihood: str, tab: Tab
) -> None:
    kind = architecture, channels, side
    decoded, encoded = differences(tab, "float16", *kind, likelihood=likelihood)
    assert decoded < 1 / 255
    assert encoded < 0.02


@pytest.mark.parametrize("architecture", ["fc", "conv"])
def test_with_weights_of_8_bits_it_does_nearly(architecture: str, tab: Tab) -> None:
    decoded, encoded = differences(tab, "int8", architecture, likelihood="gaussian")
    assert decoded < 12 / 255
    assert encoded < 0.1


def test_every_control_changes_the_picture_by_keyboard(tab: Tab) -> None:
    page = tab.page
    seen = [tab.shown()]

    def changed(selector: str, *keys: str) -> None:
        page.locator(selector).focus()
        for key in keys:
            page.keyboard.press(key)
        seen.append(tab.shown())
        assert seen[-1] != seen[-2], (selector, keys)

    changed("#from input:checked", "ArrowRight")
    changed("#to input:checked", "ArrowRight")
    changed("#way", *["PageDown"] * 3)
    changed("[name=path]:checked", "ArrowRight")
    changed("[name=path]:checked", "ArrowRight")
    changed("#way", "Home")
    for key in ("ArrowUp", "ArrowRight"):
        for name in ("fc", "conv"):
            changed(f"[data-model={name}] .map", key)
    for slider in page.locator("#dimensions input").all():
        name, dimension = slider.evaluate(
            "(each) => [each.closest('[data-model]').dataset.model, each.dataset.dimension]"
        )
        changed(f"#dimensions [data-model={name}] [data-dimension='{dimension}']", "PageUp")
    changed("#reset", "Enter")
    sources = page.locator("[data-source]").evaluate_all(
        "(all) => all.map((b) => b.dataset.source)"
    )
    assert sources == ["prior", "mixture", "class", "flow"]
    for source in sources:
        changed(f"[data-source={source}]", "Enter")
    changed("#amount", *["ArrowRight"] * 9)
    changed("#direction", "ArrowDown")
    page.locator("#run").press("Enter")
    page.wait_for_timeout(200)
    page.keyboard.press("Enter")
    assert tab.shown() != seen[-1]
    assert page.locator("#run").get_attribute("aria-pressed") == "false"


def test_a_finger_or_a_mouse_on_the_map(tab: Tab) -> None:
    before = tab.shown()
    place = tab.page.locator("[data-model=conv] .map")
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    tab.page.mouse.move(box["x"] + 20, box["y"] + 20)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + 80, box["y"] + 50, steps=4)
    tab.page.mouse.up()
    assert tab.shown() != before
    assert tab.page.evaluate("state.base.model") == "conv"


def test_colours_and_epochs(tab: Tab) -> None:
    points = "document.querySelector('.map canvas').toDataURL()"
    drawn = {tab.page.evaluate(points)}
    names = tab.page.locator("#colour option").all_inner_texts()
    assert names == ["class", "x", "y", "size", "rotation", "hue", "background hue", "brightness"]
    for name in names[1:]:
        tab.page.select_option("#colour", name)
        drawn.add(tab.page.evaluate(points))
    assert len(drawn) == len(names)
    assert "19.50" in tab.page.locator("#curves").inner_text()
    tab.page.locator("#epoch").press("Home")
    assert "17.00" in tab.page.locator("#curves").inner_text()


@pytest.mark.parametrize("way", ["chosen", "dropped"])
def test_ones_own_picture_is_cropped_encoded_and_an_end(
    way: str, tab: Tab, settings: DatasetSettings
) -> None:
    before = tab.shown()
    pixels = np.zeros((16, 48, 3), np.uint8)
    pixels[:, 16:32] = np.load(settings.data_dir / "test.npy")[4].transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    if way == "dropped":
        tab.page.evaluate(DROP, list(file.getvalue()))
    else:
        picture = {"name": "own.png", "mimeType": "image/png", "buffer": file.getvalue()}
        tab.page.set_input_files("#own", picture)
    tab.page.wait_for_function("state.base.from === OWN")
    assert tab.shown() != before
    taken = np.array(tab.page.evaluate("[...pictures[OWN]]"))
    assert np.abs(255 * taken - pixels[:, 16:32].ravel()).max() < 1.0
    assert tab.page.locator("#from input:checked").get_attribute("value") == "own"
    before = tab.shown()
    tab.page.locator("#way").press("PageUp")
    assert tab.shown() != before
    broken = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}
    tab.page.set_input_files("#own", broken)
    tab.page.wait_for_function(
        "document.querySelector('#status').textContent.includes('notes.txt')"
    )


@pytest.mark.parametrize(
    "hash",
    [
        "#kind=morph&from=2&to=5&path=slerp&t=0.400",
        "#kind=morph&from=7&to=4&path=geodesic&t=0.300&z.conv.1=1.50&walk.heart=-0.50",
        "#kind=map&model=conv&u=0.100&v=-0.050",
        "#kind=draw&source=prior&number=123456",
        "#kind=draw&source=flow&number=17&z.fc.2=-2.00",
    ],
)
def test_an_address_brings_a_view_back(hash: str, browser: Any, file: Path) -> None:
    plain, first = Tab(browser, file), Tab(browser, file, hash)
    seen = first.shown()
    assert seen != plain.shown()
    first.page.wait_for_timeout(200)
    again = Tab(browser, file, first.page.evaluate("location.hash"))
    assert again.shown() == seen
    plain.page.evaluate("(hash) => { location.hash = hash; }", hash)
    plain.page.wait_for_function("location.hash.length > 1")
    plain.page.wait_for_timeout(50)
    assert plain.shown() == seen
    for tab in (plain, first, again):
        tab.close()


@pytest.mark.parametrize("hash", ["#kind=__proto__", "#kind=morph&from=99&t=x", "#walk.=1", "#%"])
def test_an_address_of_nonsense_does_no_harm(hash: str, browser: Any, file: Path) -> None:
    tab = Tab(browser, file, hash)
    assert tab.shown()
    tab.close()


def test_tab_reaches_every_control(tab: Tab) -> None:
    wanted = tab.page.evaluate(
        """() => {
            const all = [...document.querySelectorAll("a, button, input, select, [tabindex='0']")];
            all.forEach((each, i) => each.dataset.number = each.name || i);
            return [...new Set(all.map((each) => each.dataset.number))];
        }"""
    )
    reached = set()
    for _ in range(2 * len(wanted)):
        tab.page.keyboard.press("Tab")
        reached.add(tab.page.evaluate("document.activeElement.dataset.number"))
    assert set(wanted) <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(scheme: str, browser: Any, file: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    tab = Tab(browser, file, color_scheme=scheme)
    tab.shown()
    found = axe.Axe().run(tab.page).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
    tab.close()


def test_a_telephone_shows_it_without_scrolling_sideways(browser: Any, file: Path) -> None:
    tab = Tab(browser, file, viewport={"width": 360, "height": 740}, has_touch=True)
    assert tab.page.evaluate("document.documentElement.scrollWidth") == 360
    before = tab.shown()
    tab.page.locator("[data-source=prior]").tap()
    assert tab.shown() != before
    tab.close()


def test_a_single_autoencoder(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    studied(tmp_path, architectures=("conv",), posterior="point")
    file = tmp_path / "index.html"
    file.write_text(index.page(load_settings().of("toys")), "utf-8")
    tab = Tab(browser, file)
    before = tab.shown()
    tab.page.locator(".map").press("ArrowUp")
    assert tab.shown() != before
    tab.close()
