"""Minimum noise fraction: components by signal-to-noise ratio, of scans of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from refold.cube import n_features, navigation_dims
from refold.engine import Moments, sweep
from refold.engine.neighbours import DIRECTIONS, Direction, Neighbours
from refold.errors import DataError, ParameterError
from refold.reduce.leading import check_count
from refold.reduce.noise import adjust, warn_of_silence
from refold.reduce.oblique import Oblique
from refold.reduce.projecting import Projecting
from refold.reduce.scaling import refuse_hopeless


class MNF(Projecting):
    """Minimum noise fraction, in one sweep: components ordered by signal-to-noise ratio.

    The noise is estimated from the differences between neighbouring pixels. Directions are sought in which it is white
    and the data vary most; units of the channels do not matter.

    Parameters
    ----------
    n_components : int or None
        How many; None for all that there are.
    min_snr : float or None
        Keep those whose signal-to-noise ratio is at least this, no more than `n_components`.
    direction : {"lowerright", "right", "lower", "lowerleft"}
        Where the neighbour of a pixel is, as in Spectral Python's ``noise_from_diffs``. Along a line, in a table or in
        a scan of one row, it is the next pixel.

    Attributes
    ----------
    components_ : numpy.ndarray
        Shape (component, feature): what each component looks like, for a score of one deviation of the noise, in the
        units of the data. A pixel is about ``mean_ + scores @ components_``. The largest value of each is positive.
    unmixing_ : numpy.ndarray
        Shape (component, feature): scores are ``(pixel - mean_) @ unmixing_.T``.
    snr_ : numpy.ndarray
        Shape (component,): signal-to-noise ratio, the variance of signal over that of noise.
    explained_variance_, explained_variance_ratio_ : numpy.ndarray
        Shape (component,): variance of the scores, that is ``1 + snr_``; and its share of that of all components.
    mean_ : numpy.ndarray
        Shape (feature,).
    n_components_, n_samples_, n_features_in_, n_pairs_ : int
        Components kept, valid pixels, features, pairs of neighbours that are both valid.
    n_sweeps_ : int
        Sweeps that `fit` made: one.

    Notes
    -----
    Where the noise has fewer dimensions than there are channels, as with few pixels or in smoothed data, directions
    without noise are left out, and a warning says how many. Scores are bitwise the same however pixels are grouped.

    References
    ----------
    Green, Berman, Switzer and Craig (1988), IEEE Trans. Geosci. Remote Sens. 26, 65. Lee, Woodyatt and Berman (1990),
    IEEE Trans. Geosci. Remote Sens. 28, 295.

    Examples
    --------
    >>> import refold
    >>> scene = refold.synthetic.reflectance((24, 24), bands=40, phases=4, noise=0.02)
    >>> model = MNF(min_snr=3).fit(scene.cube)
    >>> model.n_components_, model.transform(scene.cube).dims
    (3, ('y', 'x', 'component'))
    >>> denoised = model.model(scene.cube, components=model.n_above(10))
    """

    _arrays: ClassVar = {
        "components": ("component", "feature"),
        "unmixing": ("component", "feature"),
        "mean": ("feature",),
        **dict.fromkeys(("explained_variance", "explained_variance_ratio", "snr"), ("component",)),
    }
    _facts = ("n_components_", "n_samples_", "n_features_in_", "n_pairs_", "n_sweeps_")

    def __init__(
        self,
        n_components: int | None = None,
        *,
        min_snr: float | None = None,
        direction: Direction = "lowerright",
    ) -> None:
        self.n_components = n_components
        self.min_snr = min_snr
        self.direction = direction

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the components.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, feature)
            A cube, lazy or not; or a table, whose rows are pixels along a line.
        y : None
            Not used.

        Returns
        -------
        MNF
            This model.

        Raises
        ------
        ParameterError
            If there are fewer components than asked for, none reaches `min_snr`, or an option has no such value.
        DataError
            If no two neighbours are valid, or none differ.
        """
        cube = self._enter(X, reset=True)
        self._learn(sweep(cube, *self.visitors(cube), label="noise"))
        return self

    def visitors(self, cube: xr.DataArray) -> tuple[Moments, Neighbours]:
        """What a sweep is to feed, so that several models can be fitted from one read.

        Parameters
        ----------
        cube : xarray.DataArray
            What will be fitted; its shape and chunks are looked at.

        Returns
        -------
        tuple of Visitor
            Their results, in this order, are for `settle`.

        Raises
        ------
        ParameterError
            If an option has no such value.
        """
        self._check()
        features = n_features(cube)
        edges = _edge_pixels(cube, self.direction)
        return (
            Moments(scatter=True, n_features=features, double=True),
            Neighbours(self.direction, n_features=features, edge_pixels=edges),
        )

    def settle(self, cube: xr.DataArray, results: Sequence[Any]) -> Self:
        """Find the components from what the sweep gave.

        Parameters
        ----------
        cube : xarray.DataArray
            What was swept.
        results : sequence
            Those of `visitors`.

        Returns
        -------
        MNF
            This model.

        Raises
        ------
        ParameterError, DataError
            As for `fit`.
        """
        self._enter(cube, reset=True)
        self._learn(results)
        return self

    def n_above(self, snr: float) -> int:
        """How many components have at least this signal-to-noise ratio.

        Parameters
        ----------
        snr : float
            Variance of signal over that of noise.

        Returns
        -------
        int
            Their number, for `model`: Spectral Python's ``num_with_snr``.
        """
        check_is_fitted(self)
        return int(np.count_nonzero(self.snr_ >= snr))

    def _check(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ParameterError(f"direction={self.direction!r}", f"one of {tuple(DIRECTIONS)}", "choose one of these")
        count = self.n_components
        if count is not None and (isinstance(count, bool) or not isinstance(count, int | np.integer)):
            raise ParameterError(f"n_components={count!r}", "a whole number or None", "use min_snr for a threshold")

    def _learn(self, results: Sequence[Any]) -> None:
        moments, pairs = results
        refuse_hopeless(moments)
        if pairs.count < 2:
            raise DataError(
                f"{pairs.count} pairs of valid neighbours among {moments.count} valid pixels",
                "two or more",
                "choose another direction, or reduce by PCA",
            )
        most = check_count(self.n_components, moments.count, self.n_features_in_)
        found = adjust(moments.scatter / (moments.count - 1), pairs.noise)
        warn_of_silence(found, pairs.count)
        count = self._count(found.values - 1.0, most)
        self.n_components_, self.n_samples_, self.n_pairs_, self.n_sweeps_ = count, moments.count, pairs.count, 1
        self.explained_variance_ = found.values[:count]
        self.explained_variance_ratio_ = self.explained_variance_ / found.values.sum()
        self.snr_ = self.explained_variance_ - 1.0
        self.components_, self.unmixing_ = found.components[:count], found.unmixing[:count]
        self.mean_ = moments.mean.copy()
        self._projection = Oblique(self.unmixing_, self.components_, self.mean_)

    def _count(self, snr: Any, most: int) -> int:
        """Components to keep."""
        if self.min_snr is None:
            return min(most, len(snr))
        above = int(np.count_nonzero(snr >= self.min_snr))
        if not above:
            raise ParameterError(
                f"min_snr={self.min_snr}", f"at most {snr[0]:.3g}, that of the first component", "choose a lower one"
            )
        return min(most, above)

    def _take_up(self, dataset: xr.Dataset) -> None:
        self._projection = Oblique(self.unmixing_, self.components_, self.mean_)


def _edge_pixels(cube: xr.DataArray, direction: Direction) -> int:
    """Pixels whose partners may lie beyond a run of blocks: a row of the scan, and a side of a block."""
    navigation = navigation_dims(cube)
    if len(navigation) < 2:
        return 1
    sizes = [cube.sizes[dim] for dim in navigation]
    chunks = sizes if cube.chunks is None else [max(cube.chunksizes[dim]) for dim in navigation]
    down, across = DIRECTIONS[direction]
    side = chunks[-2] if across and cube.chunks is not None else 0
    return int(np.prod(chunks[:-2], dtype=int)) * (sizes[-1] * down + side)
