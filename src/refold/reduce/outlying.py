"""Outliers of the residual: what a few pixels share and no principal component carries is made a component."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import check_cube, n_features
from refold.engine import Sample, SampleResult, sweep
from refold.engine.block import row_dtype
from refold.errors import ParameterError
from refold.reduce.leading import fix_signs
from refold.reduce.pca import PCA
from refold.reduce.projection import Projection
from refold.reduce.rare.shared import shared_groups
from refold.reduce.rare.unexpected import Measure, Unexpected, left_of

Vector = npt.NDArray[np.float64]

_TYPICAL = 2048  # pixels that say what is usual
_TYPICAL_BYTES = 64 << 20  # that they take at most


class Outliers:
    """Find what outliers of the residual share, and make components of it.

    Parameters
    ----------
    pca : PCA
        Fitted.
    n : int
        Pixels to look at: those whose residual is the most unexpected.
    least : int
        Fewest pixels that are a phase.
    most : int
        Components to promote at most.
    random_state : int
        Seed of the sample of typical pixels, and of the draws that a finding has to beat.

    Notes
    -----
    Two sweeps, either of which can be shared with others: `typical` samples what is usual, and may be fed in the very
    first sweep, before the components are known; `watch` keeps the outliers, and may be fed in the one that writes
    scores. ``docs/design/rare-phases.md`` has the method, its limits and what was measured.
    """

    def __init__(self, pca: PCA, n: int = 256, *, least: int = 5, most: int = 8, random_state: int = 0) -> None:
        for name, value, lowest in (("n", n, 2 * least), ("least", least, 2), ("most", most, 1)):
            if value < lowest:
                raise ParameterError(f"{name}={value!r}", f"{lowest} or more", f"choose a larger {name}")
        self.pca, self.n, self.least, self.most = pca, n, least, most
        self.random_state = random_state

    def typical(self, cube: xr.DataArray) -> Sample:
        """Visitor that samples typical pixels; its result is for `watch`."""
        row_bytes = n_features(cube) * row_dtype(cube.dtype).itemsize
        n = max(2 * self.n, min(_TYPICAL, _TYPICAL_BYTES // row_bytes))
        return Sample(n, self.random_state, n_features=n_features(cube))

    def watch(self, typical: SampleResult) -> Unexpected:
        """Visitor that keeps the outliers; its result is for `promote`."""
        self.measure = Measure.of(self.pca, typical.rows)
        self.usual_rows, self.usual_pixels = typical.rows, typical.pixels
        return Unexpected(self.measure, self.n, typical.rows.shape[1])

    def promote(self, found: SampleResult) -> PCA:
        """The model with a component for each group of outliers that share one.

        Parameters
        ----------
        found : SampleResult
            Of the visitor that `watch` gave.

        Returns
        -------
        PCA
            Another model; the one given where there is nothing to promote.
        """
        if len(found.pixels) < 2 * self.least or len(self.usual_pixels) < 2 * self.n:
            return self.pca
        rng = np.random.default_rng(self.random_state)
        directions = self.measure.directions(found.rows)
        others = ~np.isin(self.usual_pixels, found.pixels)
        usual = self.measure.directions(self.usual_rows[others])
        groups = shared_groups(directions, usual, least=self.least, most=self.most, rng=rng)
        if not groups:
            return self.pca
        left = left_of(self.pca, found.rows)
        means = np.stack([left[group].mean(axis=0) for group in groups], axis=1)
        known = self.pca.components_.T
        basis = np.linalg.qr(means - known @ (known.T @ means))[0]
        pixels = found.pixels[np.sort(np.concatenate(groups))]
        # Typical pixels say how much noise there is along a new component; the groups add what they are found by.
        noise = left_of(self.pca, self.usual_rows[others]) @ basis
        own = left[np.concatenate(groups)] @ basis
        variances = (noise**2).mean(axis=0) + (own**2).sum(axis=0) / self.pca.n_samples_
        return grown(self.pca, fix_signs(basis).T, variances, pixels)


def promote_outliers(
    pca: PCA, cube: xr.DataArray, n: int = 256, *, least: int = 5, most: int = 8, random_state: int = 0
) -> PCA:
    """Add components for phases so rare that no principal component carries them.

    Parameters
    ----------
    pca : PCA
        Fitted on the cube.
    cube : xarray.DataArray
        The scan; it is swept over twice.
    n : int
        Pixels to look at: those whose residual is the most unexpected. Several times the phases sought.
    least : int
        Fewest pixels that are a phase.
    most : int
        Components to add at most.
    random_state : int
        Seed.

    Returns
    -------
    PCA
        With the new components last, as `n_promoted_` of them, and the pixels that showed them as `outliers_`, for
        ``Landmarks(always=...)``. Where outliers share nothing, the model that was given.

    Raises
    ------
    ParameterError
        If an option has no such value.

    Examples
    --------
    >>> import numpy as np, refold
    >>> rows = np.random.default_rng(0).normal(size=(90, 100, 40))
    >>> rows[:, 50:, 0] += 30  # two phases, and 12 pixels of a third
    >>> rows[60, 20:32, 5:25] += 2.5
    >>> cube = refold.as_cube(rows, signal="energy")
    >>> model = promote_outliers(PCA(1).fit(cube), cube)
    >>> model.n_promoted_, int(np.isin(np.arange(6020, 6032), model.outliers_).sum())
    (1, 12)
    """
    cube = check_cube(cube)
    outliers = Outliers(pca, n, least=least, most=most, random_state=random_state)
    (typical,) = sweep(cube, outliers.typical(cube), label="typical pixels")
    (found,) = sweep(cube, outliers.watch(typical), label="outliers")
    return outliers.promote(found)


def grown(pca: PCA, components: Vector, variances: Vector, pixels: npt.NDArray[np.int64]) -> PCA:
    """The same model with more components.

    Parameters
    ----------
    pca : PCA
        Fitted.
    components : numpy.ndarray
        Shape (more, feature), orthonormal to each other and to those there are.
    variances : numpy.ndarray
        Shape (more,): of the pixels along them.
    pixels : numpy.ndarray
        That showed them.
    """
    model = copy.copy(pca)
    count = len(components)
    total = pca.explained_variance_[0] / pca.explained_variance_ratio_[0]
    freedom = pca.singular_values_[0] ** 2 / pca.explained_variance_[0]
    model.components_ = np.ascontiguousarray(np.vstack([pca.components_, components]))
    model.explained_variance_ = np.append(pca.explained_variance_, variances)
    model.explained_variance_ratio_ = np.append(pca.explained_variance_ratio_, variances / total)
    model.singular_values_ = np.append(pca.singular_values_, np.sqrt(variances * freedom))
    model.angles_ = np.append(pca.angles_, np.zeros(count))
    model.converged_ = np.append(pca.converged_, np.ones(count, bool))
    model.n_components_ = pca.n_components_ + count
    model.n_promoted_ = pca.n_promoted_ + count
    model.outliers_ = np.union1d(pca.outliers_, pixels)
    model._projection = Projection(model.components_, pca.mean_, pca.scale_, pca.scaling == "poisson")
    return model
