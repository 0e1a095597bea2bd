"""Rows as some of the components describe them, one row at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from refold.errors import ParameterError
from refold.reduce.projection import Projection, only_scores

Kept = tuple[int, ...] | None
Components = int | Sequence[int] | None


class RowMap(Protocol):
    """What a fitted model does to rows. The result of a row depends on that row alone."""

    def forward_valid(
        self, rows: npt.NDArray[Any], valid: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Scores, and the root mean square that they leave; NaN where a row is not valid."""

    def backward(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Rows that scores stand for, in the dtype of the scores."""


def kept_components(components: Components, count: int) -> Kept:
    """Which components are meant, in HyperSpy's words: None for all, a number for the first ones, or a list.

    Parameters
    ----------
    components : int, sequence of int or None
        As given by the user.
    count : int
        Components that there are.

    Returns
    -------
    tuple of int or None
        Indices in ascending order; None for all.

    Raises
    ------
    ParameterError
        If there is no such component, or one is named twice.

    Examples
    --------
    >>> kept_components(2, 5), kept_components([4, 0], 5), kept_components(None, 5)
    ((0, 1), (0, 4), None)
    """
    if components is None:
        return None
    if isinstance(components, int | np.integer) and not isinstance(components, bool):
        if 1 <= components <= count:
            return tuple(range(int(components)))
        raise ParameterError(
            f"components={components}", f"a number from 1 to {count}", "ask for as many as were fitted, or fewer"
        )
    listed = np.atleast_1d(np.asarray(components))
    if (
        listed.ndim > 1
        or listed.dtype.kind not in "iu"
        or len(np.unique(listed)) != listed.size
        or np.any((listed < 0) | (listed >= count))
    ):
        raise ParameterError(
            f"components={components!r}",
            f"a number, or a list of different indices from 0 to {count - 1}",
            "write 5 for the first five, [0, 2] for two of them, None for all",
        )
    return tuple(sorted(int(index) for index in listed))


def rebuilt(
    projection: RowMap, rows: npt.NDArray[Any], valid: npt.NDArray[np.bool_], kept: Kept = None
) -> npt.NDArray[Any]:
    """Rows without what lies outside of some components.

    Parameters
    ----------
    projection : RowMap
        Of a fitted model.
    rows : numpy.ndarray
        Shape (pixel, feature).
    valid : numpy.ndarray
        Shape (pixel,).
    kept : tuple of int or None
        Components; None for all.

    Returns
    -------
    numpy.ndarray
        Shape (pixel, feature), in the dtype of the rows; NaN where a row is not valid.
    """
    if not isinstance(projection, Projection):
        scores, _ = projection.forward_valid(rows, valid)
        return from_scores(projection, scores, kept)
    # Orthonormal components need not be projected on where they are not wanted, and rows know their weight.
    part = projection if kept is None else projection.only(kept)
    if valid.all():
        return part.rebuild(rows)
    result = np.full(rows.shape, np.nan, rows.dtype)
    if valid.any():
        result[valid] = part.rebuild(rows[valid])
    return result


def from_scores(projection: RowMap, scores: npt.NDArray[Any], kept: Kept = None) -> npt.NDArray[Any]:
    """Rows that some of the scores stand for.

    Parameters
    ----------
    projection : RowMap
        Of a fitted model.
    scores : numpy.ndarray
        Shape (pixel, component): all of them.
    kept : tuple of int or None
        Components; None for all.

    Returns
    -------
    numpy.ndarray
        Shape (pixel, feature); NaN where a score is.
    """
    if kept is None:
        return projection.backward(scores)
    whole: Any = projection
    if isinstance(whole, Projection) or hasattr(whole, "divided"):  # what weighs rows needs all scores to undo it
        rows: npt.NDArray[Any] = whole.backward(scores, kept)
        return rows
    return projection.backward(only_scores(scores, kept))
