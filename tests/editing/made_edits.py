"""Edits made by chance: selections, operations and histories as Hypothesis draws them, and the pixels they are of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from refold import Selection
from refold.editing.history import History
from refold.editing.operations import Frame, Merge, Operation, Recolour, Rename, Reset, Split, Table

FRAME = Frame(clusters=4, shape=(6, 7), latent=3)
PIXELS = 42

# Multiples of a quarter: corners fall on pixels, and edges on corners.
_QUARTERS = st.integers(-12, 32).map(lambda n: n / 4)


@dataclass(frozen=True)
class Pixels:
    """Labels, latent coordinates and places of every pixel of a frame."""

    labels: np.ndarray
    embedding: np.ndarray
    where: np.ndarray


def pixels(frame: Frame = FRAME, seed: int = 0) -> Pixels:
    """A map of chance: noise, and invalid pixels, which are noise without coordinates."""
    rng = np.random.default_rng(seed)
    n = int(np.prod(frame.shape))
    labels = rng.integers(-1, frame.clusters, n).astype(np.int32)
    embedding = (rng.integers(-8, 24, (n, frame.latent)) / 4).astype(np.float32)
    invalid = rng.random(n) < 0.1
    labels[invalid], embedding[invalid] = -1, np.nan
    return Pixels(labels, embedding, np.arange(n))


@st.composite
def _drawn(draw: st.DrawFn, frame: Frame) -> Selection:
    space = draw(st.sampled_from(["embedding", "map"]))
    size = frame.latent if space == "embedding" else len(frame.shape)
    dims = draw(st.tuples(st.integers(-size, size - 1), st.integers(-size, size - 1)))
    if draw(st.booleans()):
        return Selection.box(*draw(st.tuples(*[_QUARTERS] * 4)), space, dims)
    return Selection.lasso(draw(st.lists(st.tuples(_QUARTERS, _QUARTERS), min_size=3, max_size=8)), space, dims)


def selections(frame: Frame = FRAME) -> st.SearchStrategy[Selection]:
    """Selections of every kind."""
    n = int(np.prod(frame.shape))
    some = st.one_of(_drawn(frame), st.lists(st.integers(0, n - 1), max_size=8).map(Selection.pixels))
    joined = st.tuples(some, some)
    return st.one_of(
        some,
        some,
        some.map(lambda one: ~one),
        joined.map(lambda pair: pair[0] | pair[1]),
        joined.map(lambda pair: pair[0] & ~pair[1]),
    )


_NAMES = st.one_of(st.none(), st.sampled_from(["quartz", "Fe₂O₃", "<b>$x$</b>", "a" * 200]))
_COLOURS = st.one_of(st.none(), st.integers(0, 2**24 - 1).map(lambda n: f"#{n:06x}"))


@st.composite
def operations(draw: st.DrawFn, table: Table, noise: bool | None = None) -> Operation:
    """An operation that can be done where this table stands."""
    there, taken = sorted(table.looks), {look.name for look in table.looks.values()}
    some = st.lists(st.sampled_from(there), unique=True, min_size=1).map(tuple)
    free = _NAMES.filter(lambda name: name is None or name not in taken)
    kinds = ["split", "rename", "recolour", "reset"] + ["merge"] * 2 * (len(there) > 1)
    match draw(st.sampled_from(kinds)):
        case "merge":
            return Merge(draw(some.filter(lambda ids: len(ids) > 1)), draw(free))
        case "split":
            taken_in = draw(st.booleans()) if noise is None else noise
            only = draw(st.one_of(st.none(), some, *[st.just(())] * taken_in))
            return Split(draw(selections(table.frame)), only, taken_in, draw(free))
        case "rename":
            return Rename(draw(st.sampled_from(there)), draw(free))
        case "recolour":
            return Recolour(tuple((cluster, draw(_COLOURS)) for cluster in draw(some)))
    return Reset()


@st.composite
def histories(draw: st.DrawFn, frame: Frame = FRAME, most: int = 6, noise: bool | None = None) -> History:
    """A history, some of its last steps undone."""
    table, done = Table(frame), []
    for _ in range(draw(st.integers(0, most))):
        operation = draw(operations(table, noise))
        table.do(operation)
        done.append(operation)
    return History(frame, tuple(done), draw(st.integers(0, len(done))))


def junk() -> st.SearchStrategy[Any]:
    """Anything that JSON can hold."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
        st.just(10**400),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
        max_leaves=8,
    )
