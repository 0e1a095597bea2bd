"""Edits applied to the labels of pixels: row by row, so of any block, and lazily of a whole map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.editing.history import History
from refold.editing.operations import Merge, Split
from refold.errors import ParameterError

Ids = npt.NDArray[np.int32]
Step = Merge | tuple[Split, int]
_NOISE = -1
_FEW = 4


class Relabeller:
    """What the operations in force make of the labels of a run.

    Parameters
    ----------
    history : History
        The edits.
    numbered : bool
        Whether to number the clusters that are left from 0 on in the order of their ids, and not to give their ids.

    Notes
    -----
    The id of a pixel after the edits is a function of its label, its latent coordinates and its place alone, so blocks
    may be cut in any way. Between two splits, merges are one table of ids, looked up once.
    """

    def __init__(self, history: History, *, numbered: bool = False) -> None:
        self.frame = history.frame
        self.numbered = np.array(sorted(history.table.looks), np.int32) if numbered else None
        self.steps = _steps(history)
        self.ids = history.table.next_id

    @property
    def needs_embedding(self) -> bool:
        """Whether latent coordinates are needed: for what is selected there, and to know noise from invalid pixels."""
        splits = [step[0] for step in self.steps if isinstance(step, tuple)]
        return any(split.selection.in_embedding or (split.noise and self.frame.latent) for split in splits)

    def __call__(
        self, labels: npt.ArrayLike, embedding: npt.NDArray[Any] | None, where: npt.NDArray[Any] | None
    ) -> Ids:
        """Give pixels their ids after the edits.

        Parameters
        ----------
        labels : array_like of int, shape (pixel,)
            As the run has them; -1 is noise.
        embedding : ndarray, shape (pixel, latent), or None
            Their latent coordinates, where they are needed.
        where : ndarray of int, shape (pixel,), or None
            Their flat indices on the grid, where something is selected by place.

        Returns
        -------
        ndarray of int32, shape (pixel,)

        Raises
        ------
        ParameterError
            If labels are of clusters that the run has not, or something that is needed is missing.
        """
        labels = np.asarray(labels)
        self._check(labels)
        return self.onward(labels.astype(np.int32), embedding, where)

    def onward(
        self, current: Ids, embedding: npt.NDArray[Any] | None, where: npt.NDArray[Any] | None, done: int = 0
    ) -> Ids:
        """Give pixels their ids after the edits, of those that they have after the first few; see `__call__`.

        Parameters
        ----------
        current : ndarray of int32, shape (pixel,)
            Ids after `done` steps; stays as it is.
        embedding, where : ndarray or None
            As for all steps.
        done : int
            Steps that were done already.

        Returns
        -------
        ndarray of int32, shape (pixel,)
        """
        self._check_given(current, embedding, where)
        table = self._same()
        for step in self.steps[done:]:
            if isinstance(step, Merge):
                table[np.isin(table, step.clusters)] = min(step.clusters)
                continue
            split, number = step
            taken = self._wanted(split, table)[current + 1]
            self._select(split, taken, current, embedding, where)
            current = table[current + 1]
            current[taken] = number
            table = self._same()
        if self.numbered is not None:
            table = np.where(table < 0, _NOISE, np.searchsorted(self.numbered, table)).astype(np.int32)
        return np.asarray(table[current + 1], np.int32)

    def _check(self, labels: npt.NDArray[Any]) -> None:
        if labels.dtype.kind not in "iu" or labels.ndim != 1:
            raise ParameterError(
                f"labels of dtype {labels.dtype} and shape {labels.shape}", "a row of whole numbers", "unfold them"
            )
        if labels.size and not (labels.min() >= _NOISE and labels.max() < self.frame.clusters):
            raise ParameterError(
                f"labels {labels.min()} to {labels.max()}",
                f"-1 to {self.frame.clusters - 1}, as the run has them",
                "give the labels of the run, before any edit",
            )

    def _check_given(self, ids: Ids, embedding: npt.NDArray[Any] | None, where: npt.NDArray[Any] | None) -> None:
        if embedding is None and self.needs_embedding:
            raise ParameterError(
                "no latent coordinates", "an array (pixel, latent)", "pass the embedding's rows, as stored"
            )
        for what, given in (("latent coordinates", embedding), ("flat indices", where)):
            if given is not None and len(given) != ids.size:
                raise ParameterError(f"{what} of {len(given)} pixels", f"those of {ids.size}", "pass one row a pixel")

    def _same(self) -> Ids:
        """Id of each id, noise first."""
        return np.arange(_NOISE, self.ids, dtype=np.int32)

    def _wanted(self, split: Split, table: Ids) -> npt.NDArray[np.bool_]:
        wanted = table >= 0 if split.clusters is None else np.isin(table, split.clusters)
        wanted[0] = split.noise
        return wanted

    def _select(
        self,
        split: Split,
        taken: npt.NDArray[np.bool_],
        current: Ids,
        embedding: npt.NDArray[Any] | None,
        where: npt.NDArray[Any] | None,
    ) -> None:
        """Keep of the pixels that a split wants those that are selected; an invalid one, without coordinates, never is.

        Where few are wanted, only these are looked at.
        """
        few = np.flatnonzero(taken) if np.count_nonzero(taken) < taken.size // _FEW else slice(None)
        rows, places = (given if given is None else given[few] for given in (embedding, where))
        found = split.selection.mask(rows, places, self.frame.shape)
        if split.noise and rows is not None:
            noise = np.flatnonzero(current[few] == _NOISE)
            found[noise] &= np.isfinite(rows[noise]).all(axis=1)
        taken[few] &= found

    def lazily(self, labels: xr.DataArray, embedding: xr.DataArray | None) -> xr.DataArray:
        """Give every pixel of a map its id, block by block, when it is asked for.

        Parameters
        ----------
        labels : xarray.DataArray
            Of the run, on its whole grid.
        embedding : xarray.DataArray or None
            Its latent coordinates on the same grid.

        Returns
        -------
        xarray.DataArray
            int32, dims, coordinates and attributes as those of the labels.
        """
        if not self.steps:  # then ids are numbers too: nothing was split off, and nothing merged
            return labels
        blocks: list[Any] = [da.asanyarray(labels.data)[..., None]]
        if embedding is not None and self.needs_embedding:
            (latent,) = (dim for dim in embedding.dims if dim not in labels.dims)
            rows = da.asanyarray(embedding.transpose(*labels.dims, latent).data)
            blocks.append(rows.rechunk((*blocks[0].chunks[:-1], rows.shape[-1])))
        found = da.map_blocks(
            self._block, *blocks, dtype=np.int32, drop_axis=labels.ndim, meta=np.empty((0,) * labels.ndim, np.int32)
        )
        return labels.copy(data=found)

    def _block(
        self, labels: npt.NDArray[Any], embedding: npt.NDArray[Any] | None = None, block_info: Any = None
    ) -> Ids:
        spans = block_info[0]["array-location"][:-1]
        places = np.ravel_multi_index(np.ix_(*(np.arange(*span) for span in spans)), self.frame.shape).reshape(-1)
        rows = None if embedding is None else embedding.reshape(labels.size, -1)
        return self(labels.reshape(-1), rows, places).reshape(labels.shape[:-1])

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return ("refold.editing", repr(self.frame), self.numbered is None, *map(repr, self.steps))


def _steps(history: History) -> Sequence[Step]:
    """Operations that change labels, each split with the id of the cluster that it makes."""
    number = history.begun
    steps: list[Step] = []
    for operation in history.effective:
        if isinstance(operation, Merge):
            steps.append(operation)
        elif isinstance(operation, Split):
            steps.append((operation, number))
            number += 1
    return steps
