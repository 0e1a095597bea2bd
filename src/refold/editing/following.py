"""Edits followed step by step on pixels in memory: what was done to them for the last step is not done again."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refold.editing.history import History
from refold.editing.relabelling import Ids, Relabeller, Step

_KEPT = 4  # ids of all pixels, after as many steps: for the next one, and for a few that are undone


class Following:
    """The ids of some pixels, after one history of edits and the next.

    Parameters
    ----------
    labels : ndarray of int, shape (pixel,)
        As the run has them. None of these arrays may be written to from now on.
    embedding : ndarray, shape (pixel, latent), or None
        Their latent coordinates, as stored.
    where : ndarray of int, shape (pixel,), or None
        Their flat indices on the grid.

    Notes
    -----
    A lasso looks at every pixel, so a session of many would take longer with each of them. Ids after a split are
    remembered; a history that begins as one of those before goes on from there.
    """

    def __init__(
        self, labels: npt.NDArray[Any], embedding: npt.NDArray[Any] | None, where: npt.NDArray[Any] | None
    ) -> None:
        self._labels, self._embedding, self._where = labels, embedding, where
        self._kept: list[tuple[tuple[Step, ...], Ids]] = []

    def after(self, history: History) -> Ids:
        """Give the pixels their ids after edits: the same as `Edits.relabel`, sooner.

        Parameters
        ----------
        history : History
            Of the run whose labels these are.

        Returns
        -------
        ndarray of int32, shape (pixel,)
            The caller's own.

        Raises
        ------
        ParameterError
            As `Edits.relabel`.
        """
        relabel = Relabeller(history)
        steps = tuple(relabel.steps)
        begun = [(done, ids) for done, ids in self._kept if steps[: len(done)] == done]
        done, ids = max(begun, key=lambda each: len(each[0]), default=((), None))
        if ids is None:
            found = relabel(self._labels, self._embedding, self._where)
        else:
            found = relabel.onward(ids, self._embedding, self._where, done=len(done))
        if any(isinstance(step, tuple) for step in steps[len(done) :]):
            self._kept = [*self._kept[1 - _KEPT :], (steps, np.array(found))]
        return found
