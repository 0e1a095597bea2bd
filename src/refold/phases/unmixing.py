"""What the spectra of clusters are mixed of: nonnegative matrix factorisation of their means."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.engine import Block, Where
from refold.errors import DataError, ParameterError
from refold.phases.abundances import Abundances, How
from refold.phases.clusters import Cluster, chosen_clusters
from refold.phases.spectra import Statistic, as_components, as_weights, spectra_of
from refold.reduce.nonnegative.alternating import Alternated, alternate
from refold.reduce.nonnegative.starting import first_factors
from refold.reduce.nonnegative.unmixing import Sums, Unmix, Unmixing

Vector = npt.NDArray[np.float64]

_NOTHING_LEFT = 1e-9  # of the spectra: less than this is rounding, in which there is nothing to start from
_AS_GIVEN = 1e-6  # an error of so much of the spectra, which are means in single precision, is none that could fall


@dataclass(frozen=True)
class Unmixed:
    """Spectra of clusters as sums of nonnegative components.

    Attributes
    ----------
    components : xarray.DataArray
        ``(component, *signal)``: nonnegative, each of sum 1.
    weights : xarray.DataArray
        ``(cluster, component)``: how much of each is in each cluster. Of normalised spectra these are shares of the
        signal, which add up to about 1; else they are in the units of the spectra.
    spectra : xarray.DataArray
        ``(cluster, *signal)``: what was unmixed.
    start : xarray.DataArray
        ``(component, *signal)``: where it started.
    clusters : tuple
        Number, name, colour and size of each cluster that was unmixed.
    normalised : bool
        Whether the spectra were made to sum to 1 each.
    reconstruction_error : float
        Length (Frobenius norm) of the spectra less weights times components.
    n_iter : int
        Steps taken.
    converged : bool
        Whether the error fell by less than the tolerance in the end.
    """

    components: xr.DataArray
    weights: xr.DataArray
    spectra: xr.DataArray
    start: xr.DataArray
    clusters: tuple[Cluster, ...]
    normalised: bool
    reconstruction_error: float
    n_iter: int
    converged: bool
    run: xr.Dataset = field(repr=False)
    cube: str | None = None

    @property
    def factors(self) -> xr.DataArray:
        """The components, by the name under which `refold.figures.factors` looks for them."""
        return self.components

    @property
    def model(self) -> xr.DataArray:
        """The spectra as the components describe them, ``(cluster, *signal)``."""
        found: xr.DataArray = xr.dot(self.weights, self.components, dim="component")
        return found.transpose(*self.spectra.dims)

    def abundances(self, how: How = "labels", scan: xr.DataArray | None = None) -> xr.DataArray:
        """How much of each component is in each pixel, lazily.

        Parameters
        ----------
        how : {"labels", "membership", "pixels"}
            ``"labels"``: each pixel has the weights of its cluster. ``"membership"``: the mean of the clusters'
            weights, by its membership in each. ``"pixels"``: the nonnegative least squares solution of its own signal,
            which is read for it.
        scan : xarray.DataArray, optional
            As it was recorded, for ``"pixels"``, where the run cannot find it by itself.

        Returns
        -------
        xarray.DataArray
            ``(*navigation, component)``, float32. NaN for noise and for clusters that were not unmixed; by pixels,
            where a pixel is not valid, or, normalised, empty.

        Raises
        ------
        ParameterError
            If there is no such way, or the scan cannot be found.
        VariableError
            If the run has no labels, or no membership.
        CubeError
            If the scan is not on the grid of the labels, or lacks channels of the components.
        """
        return Abundances(self.run, self.components, self.weights, self.normalised, self.cube).of(how, scan)

    def to_dataset(self) -> xr.Dataset:
        """Components, weights and spectra as a dataset, with what was found about them as attributes."""
        parts = {"components": self.components, "weights": self.weights, "spectra": self.spectra}
        facts = {"normalised": int(self.normalised), "reconstruction_error": self.reconstruction_error}
        facts |= {"n_iter": self.n_iter, "converged": int(self.converged)}
        return xr.Dataset({name: part.drop_attrs() for name, part in parts.items()}, attrs=facts)


def unmix(
    run: xr.Dataset,
    n_components: int,
    *,
    clusters: Iterable[int | str] | None = None,
    statistic: Statistic = "mean",
    normalise: bool = True,
    start: Iterable[int | str] = (),
    cube: str | None = None,
    tol: float = 1e-8,
    max_iter: int = 2000,
    random_state: int = 0,
) -> Unmixed:
    """Find what the spectra of clusters are mixed of, by nonnegative matrix factorisation.

    Parameters
    ----------
    run : xarray.Dataset
        A run with `cluster_mean`, as `refold.open_run` gives it, or as edited. Of ``run.sel(energy=slice(0.2, 10))``
        only that range is unmixed.
    n_components : int
        How many; at most as many as there are clusters and channels.
    clusters : iterable of int or str, optional
        Numbers or names of the clusters to unmix; by default all that have a pixel.
    statistic : {"mean", "sum"}
        Of the pixels of each cluster. It makes no difference where spectra are normalised.
    normalise : bool
        Whether each spectrum is made to sum to 1, so that thick and large clusters weigh no more than others.
    start : iterable of int or str
        Clusters whose spectra the first components start from. The others start from what these do not explain, by
        nonnegative double singular value decomposition (NNDSVD).
    cube : str, optional
        Of a run of several cubes the one to take; by default the first by name.
    tol : float
        Relative fall of the error in one step below which to stop.
    max_iter : int
        Steps at most.
    random_state : int
        Seed of the randomised singular value decomposition.

    Returns
    -------
    Unmixed
        Components, weights, and abundance maps on demand. Components that started from clusters come first, in their
        order; the others by their weight in all clusters.

    Raises
    ------
    ParameterError
        If there are too many components or starts, no such cluster, or an option has a value that it cannot have.
    DataError
        If a spectrum has negative or NaN values, or is empty.
    VariableError
        If the run has no mean spectra.

    Warns
    -----
    ConvergenceWarning
        If the error still falls after `max_iter` steps.

    Notes
    -----
    Alternating nonnegative least squares, both halves solved to their optimum. NMF has no one answer: what pins it down
    are clusters that lack a component altogether, and starting from the spectra of those that are pure.

    References
    ----------
    Kim and Park (2011), SIAM J. Sci. Comput. 33, 3261. Boutsidis and Gallopoulos (2008), Pattern Recognit. 41, 1350.
    Ang and Gillis (2019), Neural Comput. 31, 417.

    Examples
    --------
    >>> import refold
    >>> phantom = refold.synthetic.eds((16, 16), channels=64, phases=3, counts=1000)
    >>> labels = phantom.labels.rename("labels")
    >>> run = refold.cluster_statistics(phantom.cube, labels).assign(labels=labels)
    >>> found = refold.unmix(run, 2)
    >>> found.weights.dims, found.abundances().dims
    (('cluster', 'component'), ('y', 'x', 'component'))
    """
    _check_numbers(n_components, tol, max_iter)
    taken, spectra = spectra_of(run, clusters, statistic=statistic, cube=cube)
    rows = spectra.values.reshape(len(taken), -1)
    _check_count(n_components, *rows.shape)
    begin = [taken.index(cluster) for cluster in _starts(taken, start, n_components)]
    _check_values(rows, taken)
    if normalise:
        rows = rows / rows.sum(axis=1, keepdims=True)
        spectra = spectra.copy(data=rows.reshape(spectra.shape))
    first = _first(rows, n_components, begin, random_state)
    found = alternate(_looker(rows), first, tol=tol, max_iter=max_iter)
    converged = found.converged or found.error <= _AS_GIVEN * float(np.linalg.norm(rows))
    if not converged:
        _warn(max_iter)
    factors, weights = _settled(found, rows, len(begin))
    left = rows - weights @ factors
    return Unmixed(
        components=as_components(factors, spectra),
        weights=as_weights(weights, taken),
        spectra=spectra,
        start=as_components(first, spectra),
        clusters=taken,
        normalised=normalise,
        reconstruction_error=float(np.linalg.norm(left)),
        n_iter=len(found.errors),
        converged=converged,
        run=run,
        cube=cube,
    )


# --- what is asked for ------------------------------------------------------------------------------------------------


def _check_numbers(n_components: Any, tol: Any, max_iter: Any) -> None:
    told = (("n_components", n_components, Integral, 1), ("tol", tol, Real, 0), ("max_iter", max_iter, Integral, 1))
    for name, value, kind, least in told:
        if isinstance(value, bool) or not isinstance(value, kind) or not value >= least:  # type: ignore[operator]
            what = "a whole number" if kind is Integral else "a number"
            raise ParameterError(f"{name}={value!r}", f"{what} of {least} or more", f"choose another {name}")


def _check_count(n_components: int, clusters: int, channels: int) -> None:
    most = min(clusters, channels)
    if n_components > most:
        raise ParameterError(
            f"{n_components} components of {clusters} clusters with {channels} channels",
            f"{most} at most: more could not be told apart",
            "ask for fewer, or unmix more clusters",
        )


def _starts(taken: tuple[Cluster, ...], start: Iterable[int | str], count: int) -> tuple[Cluster, ...]:
    chosen = chosen_clusters(taken, start, "start")
    if len(chosen) > count:
        raise ParameterError(
            f"{len(chosen)} clusters to start from, for {count} components",
            "one for each component at most",
            "name fewer, or ask for more components",
        )
    return chosen


def _check_values(rows: Vector, taken: tuple[Cluster, ...]) -> None:
    """Refuse spectra that are no sums of nonnegative components, naming their clusters."""
    wrong = {
        "NaN or infinite": (~np.isfinite(rows)).sum(axis=1),
        "negative": (rows < 0).sum(axis=1),
        "no": (~(rows > 0).any(axis=1) * rows.shape[1]),
    }
    remedies = {
        "NaN or infinite": "choose other channels, as with run.sel(energy=slice(0.2, 10))",
        "negative": "leave the background in, choose other channels, or clip the scan before it is clustered",
        "no": "leave it out",
    }
    for what, counts in wrong.items():
        if counts.any():
            which = ", ".join(f"{taken[i].number} ({counts[i]})" for i in np.flatnonzero(counts))
            raise DataError(
                f"{what} values in the spectra of clusters, in cluster (channels): {which}"
                if what != "no"
                else f"nothing above 0 in the spectra of clusters, in cluster (channels): {which}",
                "spectra of 0 or more, with some signal",
                remedies[what],
            )


# --- the factorisation ------------------------------------------------------------------------------------------------


def _first(rows: Vector, count: int, begin: list[int], seed: int) -> Vector:
    """Spectra of the clusters to start from, and the NNDSVD of what they leave of all of them."""
    given = rows[begin]
    others = count - len(begin)
    if not begin:
        return first_factors(rows, count, "nndsvda", seed)
    if not others:
        return given.copy()
    left = np.maximum(rows - _loadings(given, rows) @ given, 0)
    if not left.sum() > _NOTHING_LEFT * rows.sum():
        left = rows
    return np.concatenate([given, first_factors(left, others, "nndsvda", seed)])


def _loadings(factors: Vector, rows: Vector) -> Vector:
    return np.asarray(Unmixing(factors).forward_valid(rows, np.ones(len(rows), bool))[0])


def _looker(rows: Vector) -> Any:
    """What `alternate` asks: what all rows say of some factors, whose lengths do not matter.

    They are made the same, since least squares by normal equations lose digits where they differ by much.
    """
    told = Block(rows, 1), Where((slice(0, len(rows)),), (len(rows),))

    def look(factors: Vector) -> Sums:
        visitor = Unmix(_of_length_one(factors), None)
        state = visitor.start()
        visitor.visit(state, *told)
        return visitor.finish(state)

    return look


def _of_length_one(factors: Vector) -> Vector:
    lengths = np.linalg.norm(factors, axis=1, keepdims=True)
    return np.asarray(factors / np.where(lengths > 0, lengths, 1.0))


def _warn(max_iter: int) -> None:
    from sklearn.exceptions import ConvergenceWarning

    warnings.warn(
        f"the error of the unmixing still fell after {max_iter} steps: allow more max_iter, or a larger tol",
        ConvergenceWarning,
        stacklevel=3,
    )


def _settled(found: Alternated, rows: Vector, started: int) -> tuple[Vector, Vector]:
    """Factors of sum 1, those without a start by their weight, and the weights that fit them best."""
    areas = found.factors.sum(axis=1)
    factors = found.factors / np.where(areas > 0, areas, 1.0)[:, None]
    weights = _loadings(factors, rows)
    free = started + np.argsort(-weights.sum(axis=0)[started:], kind="stable")
    order = [*range(started), *free]
    return factors[order], weights[:, order]
