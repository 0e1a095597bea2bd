"""Selections of pixels as data: geometry in the latent space or on the map, which replays on any machine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import isfinite
from reprlib import repr as shortened
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from refold.errors import ParameterError

Space = Literal["embedding", "map"]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[Any]

SPACES: tuple[Space, ...] = get_args(Space)
MAX_POINTS = 10_000
"""Corners that a lasso may have."""
MAX_RUNS = 1_000_000
"""Runs of neighbouring pixels that a list of pixels may have."""
MAX_PARTS = 1_000
"""Selections that one may be put together of."""
MAX_DEPTH = 32
"""How deep these may be nested."""

_LARGEST = 1e30  # products of two such numbers are far from the largest float64
_MAX_DIM = 64  # no latent space has as many dims that anybody selects in
_BANDS = 256


class Selection(ABC):
    """Pixels, by where they lie: a lasso, a box, a list, or several of these with ``|``, ``&`` and ``~``.

    A selection is data and not a result: it is saved as a few numbers, and finds the same pixels again wherever the run
    is. Coordinates are in the latent space (``space="embedding"``; in a run without, its scores), or are fractional
    indices of pixels on the map (``space="map"``), row first, where pixel 3 has its middle at 3.0.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[0.5, 0.5], [2.0, 0.5], [0.9, 0.1]], np.float32)
    >>> triangle = Selection.lasso([(0, 0), (1, 0), (0, 2)])
    >>> triangle.mask(points)
    array([ True, False,  True])
    >>> (triangle & ~Selection.pixels([0])).mask(points, np.arange(3))
    array([False, False,  True])
    """

    @staticmethod
    def lasso(
        points: Iterable[tuple[float, float]], space: Space = "embedding", dims: tuple[int, int] | None = None
    ) -> Lasso:
        """Select what lies within a polygon, by the even-odd rule.

        Parameters
        ----------
        points : iterable of (float, float)
            Its corners, 3 to 10,000; the last is joined to the first.
        space : {"embedding", "map"}
            What they are coordinates in.
        dims : (int, int), optional
            Dims of that space along which the first and the second coordinate are. By default latent dims 0 and 1, and
            on the map the last two navigation dims: row, then column.

        Raises
        ------
        ParameterError
            If it is no polygon.
        """
        corners = tuple((_number(x), _number(y)) for x, y in (_pair(point) for point in points))
        return Lasso(corners, *_placed(space, dims))

    @staticmethod
    def box(
        x0: float, x1: float, y0: float, y1: float, space: Space = "embedding", dims: tuple[int, int] | None = None
    ) -> Box:
        """Select what lies within two ranges, their ends included.

        Parameters
        ----------
        x0, x1 : float
            Range along the first of `dims`; on the map that is of rows.
        y0, y1 : float
            Range along the second; on the map of columns.
        space, dims
            As for `lasso`.

        Raises
        ------
        ParameterError
            If these are no numbers.
        """
        ends = tuple(_number(end) for end in (x0, x1, y0, y1))
        return Box((min(ends[:2]), max(ends[:2]), min(ends[2:]), max(ends[2:])), *_placed(space, dims))

    @staticmethod
    def pixels(indices: Any) -> Pixels:
        """Select pixels by number.

        Parameters
        ----------
        indices : array_like of int
            Flat indices of pixels on the grid of the labels, in C order; or a mask of the grid.

        Raises
        ------
        ParameterError
            If they are no indices, or so scattered that there are more than a million runs of neighbours.
        """
        array = np.asarray(indices)
        if array.dtype == np.bool_:
            array = np.flatnonzero(array)
        if array.size and array.dtype.kind not in "iu":
            raise ParameterError(f"pixels of dtype {array.dtype}", "whole numbers, or a mask", "pass flat indices")
        flat = np.unique(array.astype(np.int64))
        cuts = np.flatnonzero(np.diff(flat) != 1) + 1
        runs = [(int(run[0]), int(run[-1]) + 1) for run in np.split(flat, cuts) if run.size]
        return Pixels(tuple(runs))

    @staticmethod
    def from_dict(data: Any) -> Selection:
        """Read a selection from what `to_dict` made, checking everything.

        Raises
        ------
        ParameterError
            If it is anything else.
        """
        return _read(data, MAX_DEPTH)

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON-ready data."""

    @abstractmethod
    def mask(
        self, embedding: Rows | None, where: npt.NDArray[Any] | None = None, shape: tuple[int, ...] | None = None
    ) -> Mask:
        """Say of each of some pixels whether it is selected.

        Parameters
        ----------
        embedding : ndarray, shape (pixel, latent), or None
            Their latent coordinates, as they are stored; may be left out where nothing is selected there.
        where : ndarray of int, shape (pixel,)
            Their flat indices; may be left out where all is selected in the latent space.
        shape : tuple of int
            The grid that these are indices of; needed on the map.

        Returns
        -------
        ndarray of bool, shape (pixel,)
            A pixel whose coordinates are NaN lies in no lasso and in no box.
        """

    def parts(self) -> tuple[Selection, ...]:
        """Selections that it is put together of."""
        return ()

    def __or__(self, other: Selection) -> AnyOf:
        return AnyOf((*_flat(self, AnyOf), *_flat(other, AnyOf)))

    def __and__(self, other: Selection) -> AllOf:
        return AllOf((*_flat(self, AllOf), *_flat(other, AllOf)))

    def __invert__(self) -> Selection:
        return self.part if isinstance(self, Not) else Not(self)

    def everything(self) -> Iterable[Selection]:
        """Walk over it and all that it is put together of."""
        waiting: list[Selection] = [self]
        while waiting:
            waiting.extend((one := waiting.pop()).parts())
            yield one

    @property
    def in_embedding(self) -> bool:
        """Whether latent coordinates are needed."""
        return any(isinstance(one, Lasso | Box) and one.space == "embedding" for one in self.everything())

    @property
    def by_place(self) -> bool:
        """Whether places on the map are needed."""
        return any(isinstance(one, Pixels) or getattr(one, "space", "") == "map" for one in self.everything())

    def check(self, latent: int, shape: tuple[int, ...]) -> None:
        """Check that it can be found in a run.

        Parameters
        ----------
        latent : int
            Dims of its latent space; 0 where there is none.
        shape : tuple of int
            Its navigation shape.

        Raises
        ------
        ParameterError
            If it is in dims, or of pixels, that are not there.
        """
        for one in self.everything():
            if isinstance(one, Lasso | Box):
                _check_dims(one, latent if one.space == "embedding" else max(2, len(shape)))
            elif isinstance(one, Pixels) and one.runs and one.runs[-1][1] > np.prod(shape, dtype=np.int64):
                raise ParameterError(f"pixel {one.runs[-1][1] - 1}", f"one of a grid of {shape}", "name pixels of it")


@dataclass(frozen=True, slots=True)
class Lasso(Selection):
    """What lies within a polygon; see `Selection.lasso`."""

    points: tuple[tuple[float, float], ...]
    space: Space
    dims: tuple[int, int]

    def __post_init__(self) -> None:
        if not 3 <= len(self.points) <= MAX_POINTS:
            raise ParameterError(
                f"a lasso of {len(self.points)} corners", f"3 to {MAX_POINTS}", "draw a polygon, or thin its corners"
            )

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON-ready data."""
        return {"lasso": [list(point) for point in self.points], "space": self.space, "dims": list(self.dims)}

    def mask(
        self, embedding: Rows | None, where: npt.NDArray[Any] | None = None, shape: tuple[int, ...] | None = None
    ) -> Mask:
        """Say of each of some pixels whether it is selected; see `Selection.mask`."""
        from refold.editing.kernels import in_polygon  # numba takes half a second to import

        xs, ys = _columns(self, embedding, where, shape)
        found = np.empty(len(xs), np.bool_)
        box, edges, begins, listed, scale = _banded(self.points)
        in_polygon(xs, ys, box, edges, begins, listed, scale, found)
        return found


@dataclass(frozen=True, slots=True)
class Box(Selection):
    """What lies within two ranges; see `Selection.box`."""

    ends: tuple[float, ...]
    space: Space
    dims: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON-ready data."""
        return {"box": list(self.ends), "space": self.space, "dims": list(self.dims)}

    def mask(
        self, embedding: Rows | None, where: npt.NDArray[Any] | None = None, shape: tuple[int, ...] | None = None
    ) -> Mask:
        """Say of each of some pixels whether it is selected; see `Selection.mask`."""
        from refold.editing.kernels import in_box

        xs, ys = _columns(self, embedding, where, shape)
        found = np.empty(len(xs), np.bool_)
        in_box(xs, ys, np.array(self.ends), found)
        return found


@dataclass(frozen=True, slots=True)
class Pixels(Selection):
    """Pixels by number, as runs of neighbours: first, and last plus one; see `Selection.pixels`."""

    runs: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if len(self.runs) > MAX_RUNS:
            raise ParameterError(
                f"{len(self.runs)} runs of pixels", f"at most {MAX_RUNS}", "select by a lasso or a box instead"
            )
        ends = [-1, *(end for run in self.runs for end in run)]
        if any(later <= former for former, later in pairwise(ends)):
            raise ParameterError("runs of pixels that overlap or fall", "rising ones", "pass indices of pixels")
        if ends[-1] > np.iinfo(np.int64).max:
            raise ParameterError(f"pixel {ends[-1] - 1}", "a pixel of some grid", "pass indices of pixels")

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON-ready data."""
        return {"pixels": [list(run) for run in self.runs]}

    def mask(
        self, embedding: Rows | None, where: npt.NDArray[Any] | None = None, shape: tuple[int, ...] | None = None
    ) -> Mask:
        """Say of each of some pixels whether it is selected; see `Selection.mask`."""
        ends = np.array(self.runs, np.int64).reshape(-1)
        # Past an odd number of ends a pixel is within a run.
        return np.asarray(np.searchsorted(ends, _given(where), side="right") % 2 == 1)


@dataclass(frozen=True, slots=True)
class _Joined(Selection):
    selections: tuple[Selection, ...]
    word: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if not self.selections:
            raise ParameterError("a selection of no parts", "one or more", "leave it out")
        _check_size(self)

    def parts(self) -> tuple[Selection, ...]:
        """Selections that it is put together of."""
        return self.selections

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON-ready data."""
        return {self.word: [one.to_dict() for one in self.selections]}


@dataclass(frozen=True, slots=True)
class AnyOf(_Joined):
    """What is in any of several selections: ``one | other``."""

    word: ClassVar[str] = "any"

    def mask(
        self, embedding: Rows | None, where: npt.NDArray[Any] | None = None, shape: tuple[int, ...] | None = None
    ) -> Mask:
        """Say of each of some pixels whether it is selected; see `Selection.mask`."""
        found = self.selections[0].mask(embedding, where, shape)
        for one in self.selections[1:]:
            found = found | one.mask(embedding, where, shape)
        return found


@dataclass(frozen=True, slots=True)
class AllOf(_Joined):
    """What is in all of several selections: ``one & other``."""

    word: ClassVar[str] = "all"

    def mask(
        self, embedding: Rows | None, where: npt.NDArray[Any] | None = None, shape: tuple[int, ...] | None = None
    ) -> Mask:
        """Say of each of some pixels whether it is selected; see `Selection.mask`."""
        found = self.selections[0].mask(embedding, where, shape)
        for one in self.selections[1:]:
            found = found & one.mask(embedding, where, shape)
        return found


@dataclass(frozen=True, slots=True)
class Not(Selection):
    """What is not in a selection: ``~one``."""

    part: Selection

    def __post_init__(self) -> None:
        _check_size(self)

    def parts(self) -> tuple[Selection, ...]:
        """Selections that it is put together of."""
        return (self.part,)

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON-ready data."""
        return {"not": self.part.to_dict()}

    def mask(
        self, embedding: Rows | None, where: npt.NDArray[Any] | None = None, shape: tuple[int, ...] | None = None
    ) -> Mask:
        """Say of each of some pixels whether it is selected; see `Selection.mask`."""
        return ~self.part.mask(embedding, where, shape)


# --- geometry ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _banded(points: tuple[tuple[float, float], ...]) -> tuple[Any, ...]:
    """Edges of a polygon, listed by horizontal bands, as `in_polygon` takes them."""
    from refold.editing.kernels import edges_by_band

    corners = np.array(points, np.float64)
    edges = np.concatenate([corners, np.roll(corners, -1, axis=0)], axis=1)
    edges = np.ascontiguousarray(edges[edges[:, 1] != edges[:, 3]])  # a level edge crosses no level ray
    (x_low, y_low), (x_high, y_high) = corners.min(axis=0), corners.max(axis=0)
    bands = min(_BANDS, max(1, len(edges)))
    with np.errstate(divide="ignore", over="ignore"):
        scale = np.float64(bands) / (y_high - y_low)
    if not isfinite(scale):  # it has no height to speak of
        bands, scale = 1, np.float64(0)
    begins, listed = edges_by_band(edges, y_low, scale, bands)
    return np.array([x_low, x_high, y_low, y_high]), edges, begins, listed, scale


def _columns(
    one: Lasso | Box, embedding: Rows | None, where: npt.NDArray[Any] | None, shape: tuple[int, ...] | None
) -> tuple[Rows, Rows]:
    """The two coordinates of each pixel that a lasso or a box is drawn in."""
    if one.space == "embedding":
        if embedding is None or embedding.ndim != 2:
            raise ParameterError(
                "no latent coordinates", "an array (pixel, latent)", "select on the map, or pass the embedding's rows"
            )
        _check_dims(one, embedding.shape[1])
        return embedding[:, one.dims[0]], embedding[:, one.dims[1]]
    if shape is None:
        raise ParameterError("places on a map of unknown shape", "its navigation shape", "pass shape=…")
    shape = (1,) * (2 - len(shape)) + tuple(shape)  # a line is a map of one row
    _check_dims(one, len(shape))
    places = np.unravel_index(_given(where), shape)
    return places[one.dims[0]], places[one.dims[1]]


def _given(where: npt.NDArray[Any] | None) -> npt.NDArray[np.int64]:
    if where is None:
        raise ParameterError("pixels without their places", "the flat index of each", "pass where=…")
    return np.asarray(where, np.int64)


# --- checks -----------------------------------------------------------------------------------------------------------


def _check_dims(one: Lasso | Box, n: int) -> None:
    if any(not -n <= dim < n for dim in one.dims):
        what = "latent dims" if one.space == "embedding" else "dims of the map"
        raise ParameterError(f"{what} {one.dims}", f"two of {n}", "select along dims that the run has")


def _check_size(one: Selection) -> None:
    """Check that a selection is put together of no more, and no deeper, than is read again."""
    level, depth, total = [one], 0, 0
    while level and depth <= MAX_DEPTH and total <= MAX_PARTS:
        level, depth, total = [part for each in level for part in each.parts()], depth + 1, total + len(level)
    if level or depth > MAX_DEPTH or total > MAX_PARTS:
        raise ParameterError(
            "a selection of very many parts",
            f"at most {MAX_PARTS}, nested at most {MAX_DEPTH} deep",
            "split off one part after the other and merge them, or select by pixels",
        )


def _flat(one: Selection, kind: type[_Joined]) -> tuple[Selection, ...]:
    if not isinstance(one, Selection):
        raise ParameterError(f"{one!r}", "a selection", "make one with refold.Selection.lasso, box or pixels")
    return one.selections if isinstance(one, kind) else (one,)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ParameterError(f"the coordinate {shortened(value)}", "a number", "pass coordinates as floats")
    if not -_LARGEST <= value <= _LARGEST:
        raise ParameterError(f"the coordinate {shortened(value)}", f"at most {_LARGEST:g}", "draw around the pixels")
    return float(value)


def _pair(point: Any) -> Sequence[Any]:
    if isinstance(point, Sequence | np.ndarray) and not isinstance(point, str) and len(point) == 2:
        return point  # type: ignore[return-value]  # an array of two is as good
    raise ParameterError(f"the corner {shortened(point)}", "two numbers", "pass corners as (x, y)")


def _placed(space: Any, dims: Any) -> tuple[Space, tuple[int, int]]:
    if not isinstance(space, str) or space not in SPACES:
        raise ParameterError(f"the space {shortened(space)}", f"one of {', '.join(SPACES)}", "say where it was drawn")
    if dims is None:
        dims = (0, 1) if space == "embedding" else (-2, -1)
    if not isinstance(dims, Sequence) or len(dims) != 2 or any(type(dim) is not int for dim in dims):
        raise ParameterError(f"dims {shortened(dims)}", "two whole numbers", "pass them as (0, 1)")
    if any(abs(dim) > _MAX_DIM for dim in dims):
        raise ParameterError(f"dims {shortened(dims)}", f"numbers up to {_MAX_DIM}", "pass them as (0, 1)")
    return space, (dims[0], dims[1])


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(data: Any, depth: int) -> Selection:
    if not isinstance(data, Mapping) or depth < 0:
        raise ParameterError(
            f"{shortened(data)}" if depth >= 0 else "too deep a selection", "a selection", "draw it again"
        )
    drawn = {"space", "dims"}
    match sorted(set(data) - drawn if set(data) > drawn else data):
        case ["lasso"] if set(data) > drawn:
            return Selection.lasso(_listed(data["lasso"], MAX_POINTS), data["space"], _listed(data["dims"], 2))
        case ["box"] if set(data) > drawn and len(_listed(data["box"], 4)) == 4:
            x0, x1, y0, y1 = data["box"]
            return Selection.box(x0, x1, y0, y1, data["space"], _listed(data["dims"], 2))
        case ["pixels"]:
            return Pixels(tuple(_run(run) for run in _listed(data["pixels"], MAX_RUNS)))
        case ["any"]:
            return AnyOf(tuple(_read(part, depth - 1) for part in _listed(data["any"], MAX_PARTS)))
        case ["all"]:
            return AllOf(tuple(_read(part, depth - 1) for part in _listed(data["all"], MAX_PARTS)))
        case ["not"]:
            return Not(_read(data["not"], depth - 1))
    raise ParameterError(
        f"a selection of {', '.join(map(repr, list(data)[:5]))}",
        "a lasso or box with its space and dims, pixels, any, all or not",
        "draw it again",
    )


def _listed(data: Any, most: int) -> Any:
    if not isinstance(data, list) or len(data) > most:
        raise ParameterError(f"{shortened(data)}", f"a list of at most {most}", "draw it again")
    return data


def _run(run: Any) -> tuple[int, int]:
    if not isinstance(run, list) or len(run) != 2 or any(type(end) is not int for end in run):
        raise ParameterError(f"the run of pixels {shortened(run)}", "two whole numbers", "select it again")
    return run[0], run[1]
