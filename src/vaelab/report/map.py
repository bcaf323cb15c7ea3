"""The chapter on the whole map: encodings in two dimensions, and q(z) against the prior."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vaelab.plotting.style import NAMES
from vaelab.report.common import Chapter, format_number, markdown_table, wrap
from vaelab.studies.latent.map import FEWEST, neighbours_of, perplexity

Figures = Mapping[str, Any]
Write = Callable[[float], str]

COLLAPSED = 0.01  # nats
FILLED = 5.0  # nats: beyond, encodings lie where q(z) is over a hundred times as dense as the prior
MEASURES = {  # key -> name and decimals, None for a percentage
    "trust_pca": ("trustworthiness of the map by PCA", 2),
    "trust_tsne": ("trustworthiness of the map by t-SNE", 2),
    "same_class": ("neighbours of the same class", None),
    "same_class_pca": ("… on the map by PCA", None),
    "same_class_tsne": ("… on the map by t-SNE", None),
    "same_class_chance": ("… by chance", None),
    "explained": ("variance along two principal components", None),
    "brightness": ("variance of brightness read from them", None),
    "radius_mean": ("radius: mean", 2),
    "radius_sd": ("radius: standard deviation", 2),
    "radius_distance": ("radius: distance to the chi distribution", 3),
    "radius_inside": ("radius: within the prior's middle 95%", None),
    "sd_low": ("lowest standard deviation of a dimension", 2),
    "sd_high": ("highest standard deviation of a dimension", 2),
    "kurtosis_low": ("lowest excess kurtosis of a dimension", 2),
    "kurtosis_high": ("highest excess kurtosis of a dimension", 2),
    "correlation_mean": ("correlation of two dimensions: mean", 3),
    "correlation_high": ("correlation of two dimensions: highest", 3),
}


def map_chapter(
    latent_dim: int, images: int, mapped: int, models: Mapping[str, Figures], prior: Figures
) -> Chapter:
    """images: of the test split; mapped: those of them on the maps.

    models: fc, conv -> the figures of one model: those of MEASURES, of `EncodingStatistics`,
    `collapsed`, how many dimensions hold less than COLLAPSED (None of points), and `factors`: known
    factor -> R² of a linear map from the two principal components, empty where none are known;
    prior: the figures of `PriorFit` of as many draws of N(0, I).
    """
    findings = [
        _radius(images, models, prior),
        *_encodings(models),
        _classes(mapped, models),
        _brightness(models),
        _factors(models),
        _trust(models),
        _correlations(models, prior),
        _marginals(models, prior),
        *(_collapsed(model, figures, latent_dim) for model, figures in models.items()),
    ]
    body = "\n\n".join(
        filter(
            None,
            [
                _maps(images, mapped, models),
                _against_prior(latent_dim, images, models),
                _table(models, prior),
                _notes(mapped),
                "Every dimension: [marginals.csv](latent_explore/marginals.csv).",
                PLANE,
            ],
        )
    )
    return Chapter("The whole map", [*filter(None, findings)], body)


# --- findings ------------------------------------------------------------------------------------


def _number(decimals: int) -> Write:
    return lambda value: format_number(value, decimals)


def _percent(decimals: int = 0) -> Write:
    return lambda value: f"{value:.{decimals}%}"


def _both(models: Mapping[str, Figures], key: str, write: Write) -> str:
    """'0.61 (FC) and 0.66 (Conv)', of those that have the figure."""
    known = [(NAMES[model], figures[key]) for model, figures in models.items()]
    return " and ".join(f"{write(value)} ({name})" for name, value in known if value is not None)


def _points(models: Mapping[str, Figures]) -> bool:
    """The models are deterministic autoencoders."""
    return any(figures["collapsed"] is None for figures in models.values())


def _radius(images: int, models: Mapping[str, Figures], prior: Figures) -> str:
    if any(figures["radius_sd"] is None for figures in models.values()):
        return ""
    radii = " and ".join(
        f"{_spread(figures)} ({NAMES[model]})" for model, figures in models.items()
    )
    subject = (
        f"The encodings of the {images:,} test images, points that nothing held to N(0, I),"
        if _points(models)
        else f"Draws of q(z|x), the encoder's Gaussian for an image x, one for each of the "
        f"{images:,} test images,"
    )
    return (
        f"{subject} have a radius |z| of {radii}, mean ± standard deviation, as many draws of "
        f"N(0, I) one of {_spread(prior)}; {_both(models, 'radius_inside', _percent())} lie "
        "between the radii that hold the middle 95% of N(0, I)."
    )


def _spread(figures: Figures) -> str:
    return f"{format_number(figures['radius_mean'], 1)} ± {format_number(figures['radius_sd'], 1)}"


def _encodings(models: Mapping[str, Figures]) -> list[str]:
    """How much of the KL is the divergence of q(z) from the prior, or what there is instead."""
    if _points(models):
        return [
            f"The encodings have a variance of {_both(models, 'variance', _number(2))} a dimension "
            "(N(0, I): 1); they are points, and nothing held them to it."
        ]
    silent = {model: x for model, x in models.items() if x["kl"] < COLLAPSED}
    told = {model: x for model, x in models.items() if model not in silent}
    findings = [
        f"The mean KL of {NAMES[model]} is {format_number(figures['kl'], 3)} nats: its encodings "
        "say nothing of the image."
        for model, figures in silent.items()
    ]
    if told:
        shares = " and ".join(
            f"{format_number(x['marginal_kl_lower'], 1)} of {format_number(x['kl'], 1)} nats "
            f"({NAMES[model]})"
            for model, x in told.items()
        )
        findings.append(
            f"Of the mean KL of q(z|x) from N(0, I), at least {shares} are the divergence of the "
            f"aggregated posterior, q(z), the mean of q(z|x) over the images: {_filled(told)}. "
            "What the prior's draws decode to is under [Regions](#regions)."
        )
    return findings


def _filled(models: Mapping[str, Figures]) -> str:
    verdicts = {True: "comes close to filling N(0, I)", False: "does not fill N(0, I)"}
    found = {model: figures["marginal_kl_lower"] <= FILLED for model, figures in models.items()}
    if len(set(found.values())) == 1:
        return f"it {verdicts[next(iter(found.values()))]}"
    return ", ".join(f"that of {NAMES[model]} {verdicts[close]}" for model, close in found.items())


def _classes(mapped: int, models: Mapping[str, Figures]) -> str:
    chance = next(iter(models.values()))["same_class_chance"]
    near = _both(models, "same_class", _percent(1))
    if chance is None or not near:
        return ""
    maps = [
        f"on the map by {name} {found}"
        for name, key in (("t-SNE", "same_class_tsne"), ("PCA", "same_class_pca"))
        if (found := _both(models, key, _percent(1)))
    ]
    k = neighbours_of(mapped)
    nearest = f"{k} nearest encodings" if k > 1 else "nearest encoding"
    return (
        "; ".join(
            [f"Of an image's {nearest} {near} are of its own class, by chance {chance:.1%}", *maps]
        )
        + "."
    )


def _brightness(models: Mapping[str, Figures]) -> str:
    found = _both(models, "brightness", _percent(1))
    if not found:
        return ""
    return (
        "The first two principal components, which hold "
        f"{_both(models, 'explained', _percent(1))} of the encodings' variance, account for "
        f"{found} of the variance of the test images' mean brightness."
    )


def _factors(models: Mapping[str, Figures]) -> str:
    parts = []
    for model, figures in models.items():
        known = {name: value for name, value in figures["factors"].items() if value is not None}
        if known:
            best = max(known, key=lambda name: known[name])
            name = best.replace("_", " ")
            parts.append(f"the {name} (R² {format_number(known[best])}, {NAMES[model]})")
    if not parts:
        return ""
    return (
        "Of the known factors, a linear map from the first two principal components reads best "
        f"{' and '.join(parts)}."
    )


def _trust(models: Mapping[str, Figures]) -> str:
    maps = [
        f"of the map by {name} is {found}"
        for name, key in (("t-SNE", "trust_tsne"), ("PCA", "trust_pca"))
        if (found := _both(models, key, _number(2)))
    ]
    if not maps:
        return ""
    return (
        f"The trustworthiness {', and '.join(maps)}, where 1 is a map whose neighbours are all "
        "neighbours in latent space, and about 0.5 one by chance."
    )


def _correlations(models: Mapping[str, Figures], prior: Figures) -> str:
    mean = _both(models, "correlation_mean", _number(3))
    if not mean or prior["correlation_mean"] is None:
        return ""
    return (
        f"The correlation of two dimensions is in absolute value {mean} on average, as many draws "
        f"of N(0, I) have {format_number(prior['correlation_mean'], 3)}; the largest is "
        f"{_both(models, 'correlation_high', _number(2))}, of the draws of N(0, I) "
        f"{format_number(prior['correlation_high'])}."
    )


def _marginals(models: Mapping[str, Figures], prior: Figures) -> str:
    known = {model: x for model, x in models.items() if x["kurtosis_low"] is not None}
    if not known or prior["kurtosis_low"] is None:
        return ""
    sd, kurtosis = (
        " and ".join(f"{_ends(figures, key)} ({NAMES[model]})" for model, figures in known.items())
        for key in ("sd", "kurtosis")
    )
    return (
        f"Single dimensions have standard deviations of {sd}, as many draws of N(0, I) "
        f"{_ends(prior, 'sd')}; their excess kurtosis (of a Gaussian 0) is {kurtosis}, of the "
        f"draws of N(0, I) {_ends(prior, 'kurtosis')}."
    )


def _ends(figures: Figures, key: str) -> str:
    return " to ".join(format_number(figures[f"{key}_{end}"]) for end in ("low", "high"))


def _collapsed(model: str, figures: Figures, latent_dim: int) -> str:
    count = figures["collapsed"]
    if not count:
        return ""
    name = f"{count:.0f} of the {latent_dim:,} dimensions of {NAMES[model]}"
    return (
        f"{name} {'holds' if count == 1 else 'hold'} less than {COLLAPSED} nats: the marginal of "
        "such a dimension is N(0, 1) because it says nothing of the image."
    )


# --- body ----------------------------------------------------------------------------------------

PLANE = """### A plane through three encodings

The decoded images of a plane of latent space that holds the encodings of three test images: A and B
are the framed tiles, C lies in the ring, and between two tiles as a rule.

![A plane through three test images](latent_explore/plane.png)"""


def _maps(images: int, mapped: int, models: Mapping[str, Figures]) -> str:
    whole = f"all {images:,}" if mapped == images else f"{mapped:,} of the {images:,}"
    text = (
        f"The encodings, means of q(z|x), of {whole} test images in two dimensions: along the two "
        "principal components of the whole split, in units of z"
    )
    drawn = [figures["trust_tsne"] is not None for figures in models.values()]
    if any(drawn):
        text += (
            f", and by t-SNE (perplexity {perplexity(mapped):.3g}), which keeps near what is near: "
            "its axes have no unit, and distances between its groups mean little."
        )
    else:
        text += "."
    if not all(drawn):
        text += (
            f" t-SNE is left out where fewer than {FEWEST} images are mapped, where the encodings "
            "do not vary, and where they have no more than two dimensions anyway."
        )
    text += (
        " Colours are classes, with a dot and the first letters of its name at each class's mean, "
        "or where there is one class the images' mean brightness. On the maps of thumbnails, by "
        "t-SNE where there is one, an image is left out where it would cover another."
    )
    pictures = "\n\n".join(
        f"![Thumbnails on the map of {NAMES[model]}](latent_explore/thumbnails_{model}.png)"
        for model in models
    )
    return f"""### Encodings in two dimensions

{wrap(text)}

![Encodings in two dimensions](latent_explore/encodings.png)

{pictures}"""


def _against_prior(latent_dim: int, images: int, models: Mapping[str, Figures]) -> str:
    draws = (
        f"The encodings of the {images:,} test images: points, which an autoencoder does not hold "
        "to N(0, I)."
        if _points(models)
        else f"One draw of q(z|x) for each of the {images:,} test images: together, draws of the "
        "aggregated posterior, which the KL term holds to N(0, I). A dimension that holds nothing "
        "of the image is N(0, 1) whatever the others are."
    )
    marginals = (
        f"{draws} The radius |z| of N(0, I) follows the chi distribution with {latent_dim:,} "
        "degrees of freedom. Below it, the dimensions that hold most of the image and those that "
        "hold least."
    )
    correlation = (
        "\n\n![Correlation between dimensions](latent_explore/correlation.png)"
        if latent_dim > 1
        else ""
    )
    return f"""### The aggregated posterior against the prior

{wrap(marginals)}

![Radius of the encodings](latent_explore/radius.png)

![Marginals of single dimensions](latent_explore/marginals.png){correlation}"""


def _table(models: Mapping[str, Figures], prior: Figures) -> str:
    rows = []
    for key, (name, decimals) in MEASURES.items():
        values = [figures.get(key) for figures in (*models.values(), prior)]
        if any(value is not None for value in values):
            rows.append([name, *(_cell(value, decimals) for value in values)])
    return markdown_table(rows, ["", *(NAMES[model] for model in models), "N(0, I)"])


def _cell(value: float | None, decimals: int | None) -> str:
    if value is None or decimals is not None:
        return format_number(value, decimals or 0)
    return f"{value:.1%}"


def _notes(mapped: int) -> str:
    k = neighbours_of(mapped)
    near = (
        f"Trustworthiness (Venna & Kaski 2001) and classes are of each image's {k} nearest among "
        "those mapped. "
        if k
        else ""
    )
    return wrap(
        f"{near}The distance to the chi distribution is how far a radius is moved on average to "
        "make one distribution the other (1-Wasserstein, units of z). N(0, I) stands for as many "
        "draws of it as there are test images, and shows what their number alone explains. "
        "Correlations are absolute."
    )
