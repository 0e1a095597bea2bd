"""Selections of pixels as data: geometry in the latent space or on the map, which replays on any machine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from refold.editing.geometry import (
    Mask,
    Rows,
    Space,
    check_dims,
    check_runs,
    check_turns,
    columns,
    given,
    in_lasso,
    in_ranges,
    number,
    pair,
    placed,
    runs_of,
)
from refold.errors import ParameterError

MAX_POINTS = 10_000
"""Corners that a lasso may have."""
MAX_PARTS = 1_000
"""Selections that one may be put together of."""
MAX_DEPTH = 32
"""How deep these may be nested."""


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
        corners = tuple((number(x), number(y)) for x, y in (pair(point) for point in points))
        return Lasso(corners, *placed(space, dims))

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
        ends = tuple(number(end) for end in (x0, x1, y0, y1))
        return Box((min(ends[:2]), max(ends[:2]), min(ends[2:]), max(ends[2:])), *placed(space, dims))

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
        return Pixels(runs_of(indices))

    @staticmethod
    def from_dict(data: Any) -> Selection:
        """Read a selection from what `to_dict` made, checking everything.

        Raises
        ------
        ParameterError
            If it is anything else.
        """
        from refold.editing.reading import read_selection  # which makes selections of this module

        return read_selection(data, MAX_DEPTH)

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON-ready data."""

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
        return self._mask(embedding, where, shape)

    @abstractmethod
    def _mask(self, *of: Any) -> Mask:
        """Say which pixels are selected, of rows, places and a shape as `mask` takes them."""

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
                check_dims(one.space, one.dims, latent if one.space == "embedding" else max(2, len(shape)))
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
        check_turns(self.points)

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON-ready data."""
        return {"lasso": [list(point) for point in self.points], "space": self.space, "dims": list(self.dims)}

    def _mask(self, *of: Any) -> Mask:
        return in_lasso(self.points, *columns(self.space, self.dims, *of))


@dataclass(frozen=True, slots=True)
class Box(Selection):
    """What lies within two ranges; see `Selection.box`."""

    ends: tuple[float, ...]
    space: Space
    dims: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON-ready data."""
        return {"box": list(self.ends), "space": self.space, "dims": list(self.dims)}

    def _mask(self, *of: Any) -> Mask:
        return in_ranges(self.ends, *columns(self.space, self.dims, *of))


@dataclass(frozen=True, slots=True)
class Pixels(Selection):
    """Pixels by number, as runs of neighbours: first, and last plus one; see `Selection.pixels`."""

    runs: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        check_runs(self.runs)

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON-ready data."""
        return {"pixels": [list(run) for run in self.runs]}

    def _mask(self, *of: Any) -> Mask:
        ends = np.array(self.runs, np.int64).reshape(-1)
        # Past an odd number of ends a pixel is within a run.
        return np.asarray(np.searchsorted(ends, given(of[1]), side="right") % 2 == 1)


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

    def _mask(self, *of: Any) -> Mask:
        found = self.selections[0]._mask(*of)
        for one in self.selections[1:]:
            found = found | one._mask(*of)
        return found


@dataclass(frozen=True, slots=True)
class AllOf(_Joined):
    """What is in all of several selections: ``one & other``."""

    word: ClassVar[str] = "all"

    def _mask(self, *of: Any) -> Mask:
        found = self.selections[0]._mask(*of)
        for one in self.selections[1:]:
            found = found & one._mask(*of)
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

    def _mask(self, *of: Any) -> Mask:
        return ~self.part._mask(*of)


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
