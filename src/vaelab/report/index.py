"""The page to play with: reports/D/index.html, one file that holds the models and needs no server.

text = page(settings.of("shapes"))

Gathered here: what the studies have measured, and what the page's controls need of the first seed's
models. Nothing is trained. templates/index.js has the controls, net.js runs the models.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vaelab.data.arrays import ImageArrays, Split, UInt8Array
from vaelab.data.factors import in_words
from vaelab.metrics.aggregate import aggregate_moments
from vaelab.metrics.measures import MEASURES, PATH_NAMES
from vaelab.metrics.pca import principal_axes
from vaelab.metrics.readout import turns
from vaelab.nets.saved import first_seed, load_first
from vaelab.report import compare
from vaelab.report.export import Blob, CannotRun, Precision, net_of
from vaelab.report.render import TEMPLATES, label, read_facts, render
from vaelab.samplers import saved
from vaelab.samplers.gaussians import Density
from vaelab.settings import DatasetSettings
from vaelab.studies.interpolate.paths import geodesics, path
from vaelab.vae.inference import decode, encode, evenly
from vaelab.vae.model import VAE
from vaelab.vae.pixels import to_floats, to_uint8

LARGEST = 10_000_000  # bytes of the page
PRECISIONS: tuple[Precision, ...] = ("float16", "int8")  # of the weights: the first that fits
PICTURES = 10  # test images: shown first, and ends of a morph
MAPPED = 600  # points on a map
TEST, TRAIN = 2000, 5000  # images, at most, that q(z) and a direction are worked out from
SLIDERS = 6  # dimensions with a slider
DRAWS = 200  # made of each fitted sampler
STEPS, RELAXATION = 6, 20  # points of a data-following path; iterations of its descent
FITTED = ("mixture", "class", "flow")  # samplers whose draws are made here
CURVES = ("elbo", "reconstruction", "kl", "psnr")
FIGURES = {
    "compare/samples": "Images decoded from z drawn by each sampler.",
    "latent_explore/regions": "Images decoded from one region of latent space after the other.",
    "latent_explore/encodings": "The encodings of test images in two dimensions, by PCA and t-SNE.",
}
QUALITY = 80  # of these pictures, as WebP


def page(settings: DatasetSettings) -> str:
    """HTML. With weights of 16 bits, or of 8 where that is too large, or else without."""
    images = ImageArrays.open(settings.data_dir)
    vaes = load_first(settings.models_dir, torch.device("cpu"))
    reasons = {name: reason for name, vae in vaes.items() if (reason := _refused(vae))}
    blob = Blob()
    shown = evenly(len(images.test), PICTURES)
    test = images.test[evenly(len(images.test), TEST)]
    facts = read_facts(settings.report_dir / "latent_explore" / "facts.json")
    live = {name: vae for name, vae in vaes.items() if name not in reasons}
    encodings = {name: encode(vae, test.images) for name, vae in live.items()}
    planes = {name: Plane.of(each.mu) for name, each in encodings.items()}
    mapped = evenly(len(test), MAPPED)
    models = {
        name: {
            "label": label(name),
            **_codes(vae, images.test.images[shown], settings, blob),
            **_of_q(encodings[name], facts["dimensions"]["leading"][name], blob),
            **planes[name].told(planes, mapped, blob),
            "directions": _directions(vae, images, facts["directions"].get("chosen", []), blob),
            "draws": _draws(settings, vae, blob),
        }
        for name, vae in live.items()
    }
    everything = {
        "dataset": settings.dataset,
        "shape": images.shape,
        "pictures": _names(images, shown),
        "colours": colours(images, test[mapped], blob),
        "curves": curves(settings, vaes),
    }
    context = _shown(settings, vaes, images.test.images[shown]) | {
        "reasons": reasons,
        "too_large": bool(live),  # where the page comes to be without models
    }
    for precision in PRECISIONS if live else ():
        whole = blob.copy()
        nets = {name: net_of(vae, whole, precision) for name, vae in live.items()}
        every = {name: told | nets[name] for name, told in models.items()}
        text = _render(context, everything | {"models": every}, whole, precision)
        if len(text.encode()) <= LARGEST:
            return text
    return _render(context, everything | {"models": {}, "colours": []}, Blob(), None)


def _render(
    context: Mapping[str, Any], everything: Mapping[str, Any], blob: Blob, precision: str | None
) -> str:
    def own(name: str) -> Markup:
        return Markup((TEMPLATES / name).read_text("utf-8"))

    data = json.dumps(everything, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return render(
        "index.html.j2",
        **context,
        live=everything["models"],
        colours=everything["colours"],
        precision=precision,
        path_names=PATH_NAMES,
        data=Markup(data.replace("<", "\\u003c")),
        arrays=Markup(blob.base64()),
        **{"css": own("index.css"), "net_js": own("net.js"), "index_js": own("index.js")},
    )


def _refused(vae: VAE) -> str | None:
    """Of a net that cannot run in the page the module that is in the way."""
    try:
        net_of(vae, Blob(), "int8")
    except CannotRun as error:
        return str(error)
    return None


# --- what is shown -------------------------------------------------------------------------------


def _shown(
    settings: DatasetSettings, vaes: Mapping[str, VAE], originals: UInt8Array
) -> dict[str, Any]:
    """Of the page's still parts. originals: (n, C, H, W), whose reconstructions are shown."""
    told = compare.gather(settings.report_dir)
    text = render("compare.md.j2", **told)
    rows = {"Test images": _strip(originals)}
    for name, vae in vaes.items():
        rows[label(name)] = _strip(to_uint8(decode(vae, encode(vae, originals).mu)))
    return {
        **told,
        "lead": [" ".join(part.split()) for part in text.split("\n\n")[1:] if part[:2] == "**"],
        "rows": rows,
        "price": {
            key: {name: told["value"](name, key) for name in vaes} for key in ("parameters", "macs")
        },
        "figures": [
            (name.rpartition("/")[2].replace("_", " "), text, _webp(settings, name))
            for name, text in FIGURES.items()
            if (settings.report_dir / f"{name}.png").is_file()
        ],
    }


def _data_url(image: Image.Image, kind: str, **options: Any) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _strip(images: UInt8Array) -> str:
    """uint8 (n, C, H, W), side by side, as a PNG."""
    wide = np.concatenate(list(images), axis=2).transpose(1, 2, 0)
    return _data_url(Image.fromarray(wide[..., 0] if wide.shape[2] == 1 else wide), "png")


def _webp(settings: DatasetSettings, name: str) -> dict[str, Any]:
    with Image.open(settings.report_dir / f"{name}.png") as picture:
        url = _data_url(picture.convert("RGB"), "webp", quality=QUALITY, method=6)
        return {"url": url, "width": picture.width, "height": picture.height}


def curves(settings: DatasetSettings, vaes: Mapping[str, VAE]) -> list[dict[str, Any]]:
    """A panel for each measure: of every model its values by epoch, of training and validation."""
    tables = {
        name: pd.read_csv(first_seed(settings.model_dir(name)) / "history.csv") for name in vaes
    }
    panels = []
    for key in CURVES:
        lines = [
            {"model": name, "label": label(name), "split": split, "values": _finite(table[column])}
            for name, table in tables.items()
            for split in ("train", "val")
            if (column := f"{split}_{key}") in table
        ]
        if lines:
            measure = MEASURES[key]
            panels.append({"heading": measure.heading, "digits": measure.decimals, "lines": lines})
    return panels


def _finite(values: pd.Series[float]) -> list[float | None]:
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]


# --- what the controls need ----------------------------------------------------------------------


def _names(images: ImageArrays, shown: NDArray[np.int64]) -> list[str]:
    """What a person who does not see the test images is told of them."""
    kinds = images.meta.class_names
    labels = images.test.labels[shown]
    return [
        f"test image {i}" + (f", {kinds[kind]}" if len(kinds) > 1 else "")
        for i, kind in zip(shown.tolist(), labels.tolist(), strict=True)
    ]


def _codes(
    vae: VAE, originals: UInt8Array, settings: DatasetSettings, blob: Blob
) -> dict[str, Any]:
    """The test images' encodings, and the data-following path between any two, in both ways one.

    As the study `interpolate` finds them, with fewer points and steps.
    """
    mu = encode(vae, originals).mu
    pairs = torch.tensor([*combinations(range(len(mu)), 2)]).reshape(-1, 2)
    start = path(mu[pairs[:, 0]], mu[pairs[:, 1]], STEPS, "linear")
    log_prob = Density.of(saved.first_mixture(settings, vae), mu.device).log_prob
    if len(start):
        start = geodesics(vae.decode_mean, log_prob, start, RELAXATION).z
    return {
        "mu": blob.add(mu, "float32"),
        "paths": blob.add(start, "float16"),
        "path_steps": STEPS,
    }


def _of_q(posterior: Any, leading: Sequence[int], blob: Blob) -> dict[str, Any]:
    """Mean and standard deviation of q(z), and the dimensions that get a slider."""
    mean, covariance = aggregate_moments(posterior)
    return {
        "mean": blob.add(mean, "float32"),
        "sd": blob.add(covariance.diagonal().sqrt(), "float32"),
        "leading": list(leading[:SLIDERS]),
    }


class Plane:
    """The two directions in which a model's encodings vary most, through their mean."""

    def __init__(self, origin: Tensor, axes: Tensor, points: Tensor) -> None:
        self.origin = origin  # (latent_dim,)
        self.axes = axes  # (latent_dim, 2), orthonormal; 0 where there is no second
        self.points = points  # (N, 2)

    @classmethod
    def of(cls, mu: Tensor) -> Plane:
        """mu: (N, latent_dim)"""
        codes = mu.double()
        origin = codes.mean(0)
        axes = torch.zeros(codes.shape[1], 2, dtype=torch.float64)
        found = principal_axes(codes - origin, 2)[1]
        axes[:, : found.shape[1]] = found * found.gather(0, found.abs().argmax(0)[None]).sign()
        return cls(origin, axes, (codes - origin) @ axes)

    def told(
        self, planes: Mapping[str, Plane], mapped: NDArray[np.int64], blob: Blob
    ) -> dict[str, Any]:
        """`links`: from a place on this plane to where the same images lie on each other one, by
        least squares over the images. planes: of all models.
        """
        return {
            "origin": blob.add(self.origin, "float32"),
            "axes": blob.add(self.axes.T, "float32"),
            "points": blob.add(self.points[mapped], "float32"),
            "links": {
                name: blob.add(torch.linalg.pinv(self.points) @ other.points, "float32")
                for name, other in planes.items()
                if other is not self
            },
        }


def _directions(vae: VAE, images: ImageArrays, chosen: Sequence[str], blob: Blob) -> dict[str, Any]:
    """Of the classes and attributes that the study `latent_explore` walks along.

    From the mean encoding of training images outside to that of those inside.
    """
    train = images.train[evenly(len(images.train), TRAIN)]
    mu = encode(vae, train.images).mu if chosen else torch.zeros(0)
    found = {}
    for name in chosen:
        inside = torch.from_numpy(_inside(name, train, images))
        if 0 < inside.sum() < len(inside):
            vector = mu[inside].mean(0) - mu[~inside].mean(0)
            found[name] = blob.add(vector, "float32")
    return found


def _inside(name: str, split: Split, images: ImageArrays) -> NDArray[np.bool_]:
    """Which images have that attribute or are of that class."""
    attributes, kinds = images.meta.attribute_names, images.meta.class_names
    if split.attributes is not None and name in attributes:
        return split.attributes[:, attributes.index(name)] == 1
    return split.labels == kinds.index(name if name in kinds else name.removeprefix("class "))


def _draws(settings: DatasetSettings, vae: VAE, blob: Blob) -> dict[str, Any]:
    """Of each fitted sampler; all models' begin with the same noise."""
    name = vae.config.architecture
    folder = settings.samplers_dir / name / first_seed(settings.model_dir(name)).name
    found = {}
    for source in FITTED:
        if saved.file_of(folder, source).is_file():
            sampler = saved.load(folder, source, vae.latent_dim)
            z = sampler.sample(DRAWS, torch.Generator().manual_seed(0))
            found[source] = blob.add(z, "float16")
    return found


def colours(images: ImageArrays, split: Split, blob: Blob) -> list[dict[str, Any]]:
    """What the points of a map can be coloured by. Kinds have `names`; an angle is in turns."""
    found = []

    def add(name: str, kind: str, values: Tensor | NDArray[Any], **more: Any) -> None:
        array = torch.as_tensor(values).float()
        ends = [float(f"{end.item():.4g}") for end in array.aminmax()]
        told = {"name": in_words(name), "kind": kind, "ends": ends, **more}
        found.append(told | {"values": blob.add(array, "float32")})

    if len(images.meta.class_names) > 1:
        add("class", "kind", split.labels, names=images.meta.class_names)
    if split.factors is not None:
        names = images.meta.factor_names
        angles = turns(names, torch.tensor(split.factors))
        for i, name in enumerate(names):
            if name in angles:
                add(name, "angle", angles[name])
            elif not np.array_equal(split.factors[:, i], split.labels):
                add(name, "number", split.factors[:, i])
    if split.attributes is not None:
        for i, name in enumerate(images.meta.attribute_names):
            add(name, "kind", split.attributes[:, i], names=["no", "yes"])
    add("brightness", "number", to_floats(split.images).mean((1, 2, 3)))
    return found
