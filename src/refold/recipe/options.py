"""Options as people give them: short names in calls, and ``ky=2,kx=2`` on the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from refold.errors import RecipeError
from refold.recipe.checking import nearest

# Short names that would fit several sections, or that are not the name of a field.
_SHORT = {
    "n_components": (("reduce", "n_components"),),
    "reduce": (("reduce", "method"),),
    "embed": (("embed", "method"),),
    "cluster": (("cluster", "method"),),
    "landmarks": (("landmarks", "n"),),
    "log1p": (("prepare", "log1p"),),
    "scale": (("features", "scale"),),
    "random_state": tuple((section, "random_state") for section in ("reduce", "landmarks", "embed", "cluster")),
    "umap": (("embed", "parameters"),),
}
_NOT_SHORT = frozenset({"method", "n", "parameters", "path"})


def place(name: str, value: Any, known: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str, Any]]:
    """Find where a short option belongs.

    Parameters
    ----------
    name, value : str, object
        An option as given to `refold.run`.
    known : mapping
        Section name to the names of its fields.

    Yields
    ------
    tuple
        Section, key and value.

    Raises
    ------
    RecipeError
        If there is no such option.

    Examples
    --------
    >>> known = {"embed": ["method", "n_neighbors"]}
    >>> list(place("n_neighbors", 30, known)), list(place("embed", "none", known))
    ([('embed', 'n_neighbors', 30)], [('embed', 'method', 'none')])
    """
    if name in known and isinstance(value, Mapping):
        for key, item in value.items():
            if key not in known[name]:
                raise RecipeError(
                    f"key {key!r} in [{name}]", f"one of {', '.join(known[name])}", nearest(str(key), known[name])
                )
            yield name, key, item
        return
    homes = _SHORT.get(name) or tuple(
        (section, name) for section, keys in known.items() if name in keys and name not in _NOT_SHORT
    )
    if not homes:
        every = sorted({*_SHORT, *known, *(key for keys in known.values() for key in keys if key not in _NOT_SHORT)})
        raise RecipeError(f"option {name!r}", f"one of {', '.join(every)}", nearest(name, every))
    for section, key in homes:
        yield section, key, value


def parse_factors(text: str) -> dict[str, int]:
    """Read whole numbers per dim, as in ``--rebin ky=2,kx=2``.

    Raises
    ------
    RecipeError
        If it is not written so.

    Examples
    --------
    >>> parse_factors("ky=2,kx=2")
    {'ky': 2, 'kx': 2}
    """
    factors = {}
    for dim, number in _pairs(text, "ky=2,kx=2"):
        try:
            factors[dim] = int(number)
        except ValueError:
            raise RecipeError(f"{dim}={number} in {text!r}", "a whole number", "write it as in ky=2,kx=2") from None
    return factors


def parse_ranges(text: str) -> dict[str, tuple[float, float]]:
    """Read ranges per dim, as in ``--crop energy=100:900``.

    Raises
    ------
    RecipeError
        If it is not written so.

    Examples
    --------
    >>> parse_ranges("energy=100:900,x=-0.5:2")
    {'energy': (100.0, 900.0), 'x': (-0.5, 2.0)}
    """
    ranges = {}
    for dim, both in _pairs(text, "energy=100:900"):
        low, _, high = both.partition(":")
        try:
            ranges[dim] = (float(low), float(high))
        except ValueError:
            raise RecipeError(f"{dim}={both} in {text!r}", "two numbers", "write it as in energy=100:900") from None
    return ranges


def parse_elements(text: str) -> tuple[str, ...] | str:
    """Read X-ray lines and elements, as in ``--elements Fe_Ka,O``; ``listed`` stands for those of the file.

    Raises
    ------
    RecipeError
        If there is nothing between two commas.

    Examples
    --------
    >>> parse_elements("Fe_Ka, O"), parse_elements("listed")
    (('Fe_Ka', 'O'), 'listed')
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise RecipeError(f"{text!r}", "lines and elements", "write them as in Fe_Ka,O")
    return "listed" if names == ("listed",) else names


def parse_images(text: str) -> dict[str, float]:
    """Read images with their weights, as in ``--images BSE=0.5,haadf.tif``; 1 where none is given.

    Raises
    ------
    RecipeError
        If a weight is no number, or there is nothing between two commas.

    Examples
    --------
    >>> parse_images("BSE=0.5,haadf.tif")
    {'BSE': 0.5, 'haadf.tif': 1.0}
    """
    images = {}
    for part in text.split(","):
        name, equals, weight = (piece.strip() for piece in part.partition("="))
        try:
            images[name] = float(weight) if equals else 1.0
        except ValueError:
            raise RecipeError(f"{part.strip()!r} in {text!r}", "a number", "write it as in BSE=0.5") from None
    if "" in images:
        raise RecipeError(f"{text!r}", "names of images or files", "write them as in BSE=0.5,haadf.tif")
    return images


def parse_number(text: str) -> int | float:
    """Read a number of components, or a fraction of the variance.

    Raises
    ------
    RecipeError
        If it is no number.

    Examples
    --------
    >>> parse_number("20"), parse_number("0.99")
    (20, 0.99)
    """
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise RecipeError(f"{text!r}", "a whole number, or a fraction", "write it as in 20, or 0.99")


def _pairs(text: str, example: str) -> Iterator[tuple[str, str]]:
    seen = set()
    for part in text.split(","):
        dim, equals, value = (piece.strip() for piece in part.partition("="))
        if not (dim and equals and value):
            raise RecipeError(f"{part.strip()!r} in {text!r}", "dim=value pairs", f"write it as in {example}")
        if dim in seen:
            raise RecipeError(f"{dim!r} twice in {text!r}", "each dim once", f"write it as in {example}")
        seen.add(dim)
        yield dim, value
