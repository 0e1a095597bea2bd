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
