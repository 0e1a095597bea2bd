"""Edits of one run by hand: what a notebook and the explorer hold, and what is saved beside the labels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.editing.applying import applied
from refold.editing.counting import count, follow
from refold.editing.document import Document, Origin
from refold.editing.history import History
from refold.editing.operations import Frame, Operation, Split
from refold.editing.relabelling import Relabeller
from refold.editing.saving import place_of, read_edits, write_edits
from refold.editing.statistics import statistics_of
from refold.editing.steps import Steps
from refold.errors import EditConflictError
from refold.store import OWN, RunStore, open_run, path_of

_REMEMBERED = 16  # counts of sizes, so that undo and redo need not count again


@dataclass(frozen=True, slots=True)
class EditedCluster:
    """A cluster as it is after the edits.

    Parameters
    ----------
    id : int
        Its number; none is ever used for another cluster.
    name : str
        What it is called; ``cluster 3`` where nobody has named it.
    colour : str
        ``#rrggbb``; the palette's where nobody has chosen one.
    size : int or None
        Its pixels; None where a split left that to be counted, see `Edits.sizes`.
    """

    id: int
    name: str
    colour: str
    size: int | None


class Edits(Steps):
    """Clusters of a run merged, split, named and coloured by hand; every step can be undone. See `refold.edits`.

    Parameters
    ----------
    run : path-like or xarray.Dataset
        The run.
    clustering : str, optional
        A saved clustering; by default the run's own.
    name : str
        Of this set of edits.

    Attributes
    ----------
    name : str
        Of this set of edits.
    clustering : str or None
        Whose labels they are of.
    history : History
        Operations, and how many are in force.
    """

    def __init__(self, run: Any, *, clustering: str | None = None, name: str = "edits") -> None:
        store = RunStore.open(path_of(run))
        if clustering is None and isinstance(run, xr.Dataset):
            clustering = run.attrs.get("clustering")
        self.clustering = None if clustering == OWN else clustering
        self.name = name
        self._place = place_of(store.path, self.clustering, name)
        self._origin = Origin(self.clustering, store.fingerprint_of_labels(self.clustering))
        self._store = store
        self._run = open_run(store.path, self.clustering)
        self._embedding = _latent_of(self._run)
        labels = self._run["labels"]
        latent = 0 if self._embedding is None else self._embedding.shape[-1]
        self._frame = Frame(_clusters_in(self._run), labels.shape, latent)
        self._document = read_edits(self._place, self._origin, self._frame)
        super().__init__(History(self._frame) if self._document is None else self._document.history)
        self._counted: list[tuple[tuple[Operation, ...], int, dict[int, int]]] = []  # steps, ids from where on, sizes

    def __repr__(self) -> str:
        of = "" if self.clustering is None else f" of {self.clustering}"
        return f"<Edits {self.name!r}{of}: {len(self.clusters)} clusters, {len(self.steps)} steps>"

    # --- the clusters ---------------------------------------------------------------------------------------------

    @property
    def run(self) -> xr.Dataset:
        """The run as it was before the edits, lazily."""
        return self._run

    @property
    def embedding(self) -> xr.DataArray | None:
        """What is selected in with ``space="embedding"``, lazily: the embedding, or scores in a run without."""
        return self._embedding

    @property
    def clusters(self) -> tuple[EditedCluster, ...]:
        """The clusters there are, by id. Noise, -1, is none of them."""
        sizes = self._known_sizes()
        return tuple(
            EditedCluster(number, *look.shown(number), sizes.get(number))
            for number, look in sorted(self.history.table.looks.items())
        )

    # --- what comes of them -------------------------------------------------------------------------------------------

    def relabel(
        self, labels: npt.ArrayLike, embedding: npt.NDArray[Any] | None = None, where: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[np.int32]:
        """Give pixels in memory their ids after the edits.

        Parameters
        ----------
        labels : array_like of int, shape (pixel,)
            As the run has them.
        embedding : ndarray, shape (pixel, latent), optional
            Their latent coordinates, as stored; needed where pixels were split off.
        where : ndarray of int, shape (pixel,), optional
            Their flat indices on the grid; by default the labels are of all pixels.

        Returns
        -------
        ndarray of int32, shape (pixel,)
            Of each pixel what its own label, coordinates and place say, whichever pixels are beside it.

        Raises
        ------
        ParameterError
            If labels are of clusters that the run has not, or something that is needed is missing.
        """
        labels = np.asarray(labels)
        if where is None and labels.size == np.prod(self._frame.shape):
            where = np.arange(labels.size)
        return Relabeller(self.history)(labels, embedding, where)

    def labels(self) -> xr.DataArray:
        """Give every pixel its id after the edits, lazily.

        Returns
        -------
        xarray.DataArray
            As the labels of the run: int32, -1 for noise, on the same grid.

        Raises
        ------
        EditConflictError
            If the labels were made anew since the edits were opened.
        """
        self._check_there()
        return Relabeller(self.history).lazily(self._run["labels"], self._embedding)

    def _check_there(self) -> None:
        """Check that the labels are there yet: of arrays that were removed, Zarr reads nothing but noise."""
        if self._store.fingerprint_of_labels(self.clustering) != self._origin.fingerprint:
            raise EditConflictError(
                f"other labels in {self._store.path} than those that these edits are of",
                "the labels as they were when the edits were opened",
                "open the edits again: the run, or its clustering, was made anew since",
            )

    def sizes(self) -> dict[int, int]:
        """Count the pixels of every cluster; after a split that reads the labels once.

        Returns
        -------
        dict of int to int
            By id.
        """
        known = self._known_sizes()
        if set(known) != set(self.history.table.looks):
            counted = count(self.labels(), self.history.table.next_id)
            known = {number: counted[number] for number in self.history.table.looks}
            self._counted = [self._counted[0], *self._counted[1:][-_REMEMBERED:], (*self._effective, known)]
        return dict(sorted(known.items()))

    @property
    def _effective(self) -> tuple[tuple[Operation, ...], int]:
        return self.history.effective, self.history.begun

    def _known_sizes(self) -> dict[int, int]:
        """Sizes as far as no pixel has to be looked at: since the last step after which they were counted."""
        effective, begun = self._effective
        if not self._counted:
            self._counted = [((), begun, self._own_sizes())]
        known = [
            (done, sizes)
            for done, first, sizes in self._counted
            if effective[: len(done)] == done and (first == begun or not done)
        ]
        done, sizes = max(known, key=lambda each: len(each[0]))
        return follow(sizes, effective[len(done) :])

    def _own_sizes(self) -> dict[int, int]:
        """Pixels of the clusters that the run found: as it counted them, unless that was on a coarser grid."""
        coarser = any(group.endswith("binned") for group in self._store.records["labels"].holds)
        if "cluster_size" in self._run and not coarser:
            return dict(enumerate(self._run["cluster_size"].values.tolist()))
        return count(self._run["labels"], self._frame.clusters)

    def apply(self, *, statistics: bool = False, scan: Any = None) -> xr.Dataset:
        """Give the run as it is after the edits.

        Parameters
        ----------
        statistics : bool
            Whether to compute mean and deviation of every cluster where they do not follow from those that the run
            has, as after a split: one sweep.
        scan : xarray.DataArray or mapping of str to xarray.DataArray, optional
            What to average, where the run keeps no features: the scan prepared as in the run, on the labels' grid.

        Returns
        -------
        xarray.Dataset
            As of `refold.open_run`, with ``labels`` from 0 on in the order of the ids, ``cluster_name``,
            ``cluster_colour``, ``cluster_id``, and as far as they are known ``cluster_size``, ``cluster_mean``,
            ``cluster_std``; the attribute ``edits`` says what was done (JSON). What was found of the run's own clusters
            and does not follow for these is left out.

        Raises
        ------
        DataError
            If statistics are asked for, and there is nothing to take them from.
        EditConflictError
            If the labels were made anew since the edits were opened.
        """
        self._check_there()
        anew: dict[str, xr.DataArray] = {}
        split = any(isinstance(operation, Split) for operation in self.history.effective)
        if statistics and (split or not any(str(name).startswith("cluster_mean") for name in self._run)):
            numbered = Relabeller(self.history, numbered=True).lazily(self._run["labels"], self._embedding)
            anew = statistics_of(self._store, numbered, len(self.history.table.looks), scan)
        run = applied(self._run, self._embedding, self.history, anew)
        run.attrs["edits"] = json.dumps({"name": self.name, "revision": self.revision, "steps": self.steps})
        return run

    def save(self, name: str | None = None, *, author: str | None = None) -> int:
        """Write the edits beside the labels, with their whole history, in one step.

        Parameters
        ----------
        name : str, optional
            Save as another set of edits, and go on with that.
        author : str, optional
            Who; by default the user's name on this machine.

        Returns
        -------
        int
            The revision that was written.

        Raises
        ------
        EditConflictError
            If somebody saved since these were opened, or made the labels anew; nothing is written then.
        EditsError
            If what is there is no file of edits of these labels, or nothing can be written.
        DiskFullError
            If the disk is full; what was there stays.
        """
        self._check_there()
        place, before = self._place, self._document
        if name is not None and name != self.name:
            place, before = place_of(self._store.path, self.clustering, name), None
        revision = 1 if before is None else before.revision + 1
        document = Document.now(self._origin, self.history, revision, author)
        write_edits(place, document, before)
        self._place, self._document, self.name = place, document, name or self.name
        return revision

    @property
    def saved(self) -> bool:
        """Whether all is saved as it is."""
        if self._document is None:
            return not self.history.operations
        return self._document.history == self.history

    @property
    def revision(self) -> int:
        """How often this set of edits was saved; 0 before the first time."""
        return 0 if self._document is None else self._document.revision


def edits(run: Any, clustering: str | None = None, name: str = "edits") -> Edits:
    """Open the edits of a run that were saved, or begin with none.

    Parameters
    ----------
    run : path-like or xarray.Dataset
        The run: its store, or what `refold.run` or `refold.open_run` gave.
    clustering : str, optional
        A saved clustering of the run; by default the one that the dataset was opened with, else the run's own.
    name : str
        Of the set of edits: a run can have several.

    Returns
    -------
    Edits
        To be merged, split, named, undone, applied and saved. Nothing is written before `Edits.save`.

    Raises
    ------
    StoreError
        If there is no run, or no such clustering.
    EditsError
        If edits are there that cannot be read, or that are of other labels; the file stays as it is.
    ParameterError
        If nothing can be called so.

    Examples
    --------
    >>> import refold
    >>> edits = refold.edits("scan.run.zarr")  # doctest: +SKIP
    >>> edits.merge([1, 3], "quartz")  # doctest: +SKIP
    1
    >>> edits.save()  # doctest: +SKIP
    1
    >>> refold.edits("scan.run.zarr").apply().labels.plot()  # doctest: +SKIP
    """
    return Edits(run, clustering=clustering, name=name)


def _clusters_in(run: xr.Dataset) -> int:
    """Clusters that the run found."""
    if "cluster" in run.sizes:
        return int(run.sizes["cluster"])
    return int(run["labels"].max().compute()) + 1


def _latent_of(run: xr.Dataset) -> xr.DataArray | None:
    """Coordinates of every pixel in which clusters were sought, its own dims behind those of the labels."""
    grid = run["labels"].dims
    for name in ("embedding", "scores"):
        if name in run and set(grid) < set(run[name].dims) and run[name].ndim == len(grid) + 1:
            (latent,) = (dim for dim in run[name].dims if dim not in grid)
            return run[name].transpose(*grid, latent)
    return None
