"""The landmarks' answer for every pixel of the scan."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.backends import Backend, choose
from refold.backprojection.voting import Answers, vote, vote_weights
from refold.cube import check_cube, navigation_dims, navigation_shape, signal_dims
from refold.engine import Block, Where
from refold.errors import CubeError, ParameterError

NEIGHBOURS = 10
_BATCH_BYTES = 16_000_000  # of votes and memberships held at once by one thread


class LandmarkSet(Protocol):
    """What is asked of landmarks: `refold.embed.Landmarks` has it."""

    pixels_: npt.NDArray[np.int64]
    rows_: npt.NDArray[np.float32]


class Refolder:
    """Give pixels the answers of their nearest landmarks in the reduced space.

    Parameters
    ----------
    landmarks : Landmarks
        Fitted: ``pixels_`` (ascending) and ``rows_``.
    labels : array_like of int, shape (landmarks,)
        Their clusters; -1 is noise, which votes like any cluster.
    probability : array_like, shape (landmarks,), optional
        Probability of the cluster.
    membership : array_like, shape (landmarks, clusters), optional
        Soft membership.
    embedding : array_like, shape (landmarks, latent), optional
        Latent coordinates.
    neighbours : int
        Landmarks that vote on a pixel.
    backend : Backend, optional
        Where neighbours are searched; the best there is by default.

    Raises
    ------
    ParameterError
        If the answers are not those of the landmarks.

    Notes
    -----
    A vote counts by the inverse of its distance. A pixel that is a landmark keeps that landmark's answer unchanged.
    Landmark weights do not enter: see ``docs/design/backprojection.md``. The answer for a pixel depends on the
    landmarks and that pixel alone, bit for bit. Picklable.

    Examples
    --------
    >>> import refold
    >>> from types import SimpleNamespace
    >>> marks = SimpleNamespace(pixels_=np.array([0, 3]), rows_=np.array([[0.0], [9.0]], np.float32))
    >>> scores = refold.as_cube(np.array([[0.0], [1.0], [7.0], [9.0]]), signal="component")
    >>> backproject(scores, marks, labels=[1, 0], neighbours=1).labels.values
    array([1, 1, 0, 0], dtype=int32)
    """

    def __init__(
        self,
        landmarks: LandmarkSet,
        *,
        labels: npt.ArrayLike,
        probability: npt.ArrayLike | None = None,
        membership: npt.ArrayLike | None = None,
        embedding: npt.ArrayLike | None = None,
        neighbours: int = NEIGHBOURS,
        backend: Backend | None = None,
    ) -> None:
        if neighbours < 1:
            raise ParameterError(f"neighbours={neighbours}", "1 or more", f"try {NEIGHBOURS}")
        rows = np.ascontiguousarray(landmarks.rows_, dtype=np.float32)
        self.pixels = np.asarray(landmarks.pixels_, np.int64)
        self.neighbours = min(neighbours, len(rows))
        self.answers = _answers(len(rows), labels, probability, membership, embedding)
        self._n_features = rows.shape[1]
        self._index = (backend if backend is not None else choose("auto")).neighbours(rows)

    def __call__(self, block: Block, where: Where) -> dict[str, npt.NDArray[Any]]:
        """Answer for the pixels of a block of scores.

        Parameters
        ----------
        block : Block
            Scores.
        where : Where
            Where on the scan's grid it lies.

        Returns
        -------
        dict of str to ndarray
            ``labels`` int32 and, where the landmarks have them, ``probability``, ``membership`` and ``embedding``
            float32, of the block's navigation shape. Pixels with a score that is not finite get -1, 0, 0, NaN.
        """
        found = self.answer(block.rows, where.pixels)
        return {name: values.reshape(where.shape + values.shape[1:]) for name, values in found.items()}

    def answer(self, rows: npt.NDArray[Any], pixels: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """Answer for rows of scores.

        Parameters
        ----------
        rows : ndarray, shape (rows, component)
            Scores; not finite where a pixel is invalid.
        pixels : ndarray of int64, shape (rows,)
            Flat indices on the scan's grid; -1 for rows of another scan.

        Returns
        -------
        dict of str to ndarray
            As `__call__`, flat.
        """
        if rows.shape[1] != self._n_features:
            raise CubeError(
                f"scores of {rows.shape[1]} components",
                f"{self._n_features}, as the landmarks have",
                "pass the scores that the landmarks were chosen from",
            )
        result = self.answers.missing(len(rows))
        place = np.minimum(np.searchsorted(self.pixels, pixels), len(self.pixels) - 1)
        own = self.pixels[place] == pixels
        for name, values in self.answers.of(place[own]).items():
            result[name][own] = values
        # A sum could overflow where its terms do not; a test of each is as quick as the search is slow.
        asking = np.flatnonzero(np.isfinite(rows).all(axis=1) & ~own)
        step = max(1, _BATCH_BYTES // (8 * (3 * self.neighbours + 3 * self.answers.n_clusters + self._n_features)))
        for start in range(0, asking.size, step):
            batch = asking[start : start + step]
            neighbours, distances = self._index.query(rows[batch].astype(np.float32), self.neighbours)
            for name, values in vote(self.answers, neighbours, vote_weights(distances)).items():
                result[name][batch] = values
        return result


def backproject(
    scores: xr.DataArray,
    landmarks: LandmarkSet,
    *,
    labels: npt.ArrayLike,
    probability: npt.ArrayLike | None = None,
    membership: npt.ArrayLike | None = None,
    embedding: npt.ArrayLike | None = None,
    neighbours: int = NEIGHBOURS,
    backend: Backend | None = None,
) -> xr.Dataset:
    """Give every pixel of a cube of scores the answer of its nearest landmarks; lazily, where the scores are lazy.

    Parameters
    ----------
    scores : xarray.DataArray
        Cube (*navigation, component).
    landmarks, labels, probability, membership, embedding, neighbours, backend
        As for `Refolder`.

    Returns
    -------
    xarray.Dataset
        ``labels`` and, where given, ``probability``, ``membership`` and ``embedding``, on the navigation coordinates of
        the scores.

    Raises
    ------
    CubeError
        If the scores are no cube with one signal dim, or not those of the landmarks.
    ParameterError
        If the answers are not those of the landmarks.

    Examples
    --------
    See `Refolder`.
    """
    from refold.cube.variables import conform

    cube = check_cube(scores)
    components = signal_dims(cube)
    if len(components) != 1:
        raise CubeError(f"signal dims {components}", "one, 'component'", "pass what PCA.transform gives")
    (component,) = components
    refolder = Refolder(
        landmarks,
        labels=labels,
        probability=probability,
        membership=membership,
        embedding=embedding,
        neighbours=neighbours,
        backend=backend,
    )
    empty = refolder.answers.missing(0)
    extra = {"membership": ["cluster"], "embedding": ["latent"]}
    found = xr.apply_ufunc(
        _Blockwise(refolder, tuple(empty)),
        cube.chunk({component: -1}) if cube.chunks is not None else cube,
        _flat_indices(cube),
        input_core_dims=[[component], []],
        output_core_dims=[extra.get(name, []) for name in empty],
        output_dtypes=[values.dtype for values in empty.values()],
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {extra[name][0]: empty[name].shape[1] for name in extra if name in empty}},
    )
    arrays = found if isinstance(found, tuple) else (found,)
    result = {}
    for name, array in zip(empty, arrays, strict=True):
        named = {dim: np.arange(array.sizes[dim]) for dim in extra.get(name, [])}
        result[name] = conform(name, array.assign_coords(named))
    return xr.Dataset(result)


class _Blockwise:
    """The refolder as a function of arrays, for xarray to map over blocks."""

    def __init__(self, refolder: Refolder, names: tuple[str, ...]) -> None:
        self.refolder = refolder
        self.names = names

    def __call__(self, scores: npt.NDArray[Any], pixels: npt.NDArray[np.int64]) -> Any:
        rows = scores.reshape(-1, scores.shape[-1])
        found = self.refolder.answer(rows, pixels.ravel())
        shaped = tuple(found[name].reshape(pixels.shape + found[name].shape[1:]) for name in self.names)
        return shaped if len(shaped) > 1 else shaped[0]


def _flat_indices(cube: xr.DataArray) -> xr.DataArray:
    """Flat C-order index of every pixel, in chunks like the cube's."""
    import dask.array as da

    dims, grid = navigation_dims(cube), navigation_shape(cube)
    if cube.chunks is None:
        return xr.DataArray(np.arange(np.prod(grid, dtype=np.int64)).reshape(grid), dims=dims)

    def of_block(block_info: Any = None) -> npt.NDArray[np.int64]:
        where = Where(tuple(slice(*span) for span in block_info[None]["array-location"]), grid)
        return where.pixels.reshape(where.shape)

    chunks = cube.chunks[: len(dims)]
    return xr.DataArray(da.map_blocks(of_block, chunks=chunks, dtype=np.int64, meta=np.empty(0, np.int64)), dims=dims)


def _answers(
    n: int,
    labels: npt.ArrayLike,
    probability: npt.ArrayLike | None,
    membership: npt.ArrayLike | None,
    embedding: npt.ArrayLike | None,
) -> Answers:
    """Check that there is one answer for each landmark, and as many memberships as clusters."""
    given = {"labels": labels, "probability": probability, "membership": membership, "embedding": embedding}
    arrays = {name: np.asarray(value) for name, value in given.items() if value is not None}
    for name, array in arrays.items():
        dims = 1 if name in {"labels", "probability"} else 2
        if array.ndim != dims or len(array) != n:
            raise ParameterError(
                f"{name} of shape {array.shape}", f"{dims} dim(s), {n} landmarks first", "pass one answer a landmark"
            )
    n_clusters = int(arrays["labels"].max(initial=-1)) + 1
    if "membership" in arrays:
        if arrays["membership"].shape[1] < n_clusters:
            raise ParameterError(
                f"membership in {arrays['membership'].shape[1]} clusters, and label {n_clusters - 1}",
                "a column for each label",
                "pass the labels and the membership of one clustering",
            )
        n_clusters = arrays["membership"].shape[1]
    tables = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items() if name != "labels"}
    return Answers(arrays["labels"].astype(np.int32), n_clusters, **tables)
