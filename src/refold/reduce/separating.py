"""Sources of what is already decomposed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from refold.cube import check_cube
from refold.engine import Block
from refold.errors import ParameterError
from refold.reduce.decomposition import Decomposition
from refold.reduce.exact_product import ExactProduct
from refold.reduce.ica import ICA
from refold.reduce.preparing import folded, laid_over, on_grid, over_components
from refold.reduce.projecting import Projecting
from refold.reduce.rebuilding import Kept
from refold.reduce.sources.separation import Start, changes
from refold.reduce.treating import Way

Rows = npt.NDArray[Any]


def separate(
    decomposition: Any, n_components: int | None = None, *, cube: xr.DataArray | None = None, **options: Any
) -> Any:
    """Separate the sources of what is already decomposed: HyperSpy's ``s.blind_source_separation()``.

    Parameters
    ----------
    decomposition : Decomposition, or PCA or another fitted model
        Its components are what sources are sought in.
    n_components : int, optional
        How many of them, from the first; all by default.
    cube : xarray.DataArray, optional
        The scan; needed with ``on="loadings"``, except for a `Decomposition`, which knows it.
    **options
        Of `ICA`: ``algorithm``, ``on``, ``diff_order``, ``diff_axes``, ``mask``, ``whiten`` and others.

    Returns
    -------
    Decomposition or ICA
        Factors and loadings of the sources, and what can be built from them, as lazy as those of the decomposition,
        with a fitted `ICA` as its estimator. Of a fitted model that `ICA`. Nothing is read on factors; on loadings
        there is one sweep.

    Raises
    ------
    ParameterError
        If loadings are wanted and there is no cube; and as `ICA.fit`.

    Examples
    --------
    >>> import numpy as np, refold
    >>> energy = np.arange(100)
    >>> spectra = np.stack([np.exp(-((energy - at) ** 2) / 18) for at in (20, 50, 80)])
    >>> maps = np.random.default_rng(0).random((10, 20, 3)) + 0.5
    >>> found = refold.decompose(refold.as_cube(maps @ spectra, signal="energy"), output_dimension=3)
    >>> sources = separate(found, algorithm="orthomax")
    >>> np.sort(sources.factors.argmax("energy")).tolist(), sources.loadings.dims
    ([20, 50, 80], ('y', 'x', 'component'))
    """
    if isinstance(decomposition, Decomposition):
        return _separated(decomposition, n_components, options)
    if not isinstance(decomposition, Projecting):
        raise ParameterError(
            f"a {type(decomposition).__name__}",
            "a Decomposition, or a fitted PCA or MNF",
            "decompose the cube first, as in refold.separate(refold.decompose(cube))",
        )
    check_is_fitted(decomposition)
    model = _starting(ICA(n_components, decomposition=decomposition, **options), decomposition)
    told = None if cube is None else decomposition._enter(check_cube(cube), reset=False)
    return model._separate(Start.of(decomposition, n_components), model._options(), told, 0)


def _starting(model: ICA, base: Any) -> ICA:
    """The model with what another one was told of the cube."""
    for name in ("_signal", "_dtype", "n_features_in_", "feature_names_in_"):
        if hasattr(base, name):
            setattr(model, name, getattr(base, name))
    return model


def _separated(found: Decomposition, n_components: int | None, options: dict[str, Any]) -> Decomposition:
    """Sources of a decomposition with its masks, and the treatment of its noise."""
    own = Start.of(found.estimator, n_components)
    count = len(own.factors)
    factors = found.factors[:count].values.reshape(count, -1)
    start = replace(own, factors=factors, signal=found.factors[0].drop_vars("component"), way=found._way)
    model = _starting(ICA(n_components, decomposition=found.estimator, **options), found.estimator)
    given = model.mask
    if model.on == "loadings" and found._grid is not None:
        unused = ~found._grid.compute()
        model.mask = unused if given is None else unused | given
    model._separate(start, model._options(), found.cube, 0)
    model.mask = given
    into, back = changes(model.unmixing_, on_factors=model.on == "factors")
    looks = back @ factors
    way = _SourceWay(**vars(found._way), into=into, looks=np.nan_to_num(looks))
    loadings = laid_over(found.cube, _loadings, way, {"component": count})
    return replace(
        found,
        estimator=model,
        factors=folded(found.cube, looks).rename("factors").assign_attrs(found.factors.attrs),
        loadings=on_grid(loadings, found._grid).rename("loadings").assign_attrs(found.loadings.attrs),
        explained_variance=_shared(found.explained_variance, model, "explained_variance"),
        explained_variance_ratio=_shared(found.explained_variance_ratio, model, "explained_variance_ratio"),
        n_sweeps=found.n_sweeps + model.n_sweeps_,
        _way=way,
    )


def _shared(values: xr.DataArray | None, model: ICA, name: str) -> xr.DataArray | None:
    """What the components explained, shared out among the sources."""
    if values is None:
        return None
    shares = model.explained_variance_ / model.explained_variance_.sum()
    return over_components(shares * float(values[: len(shares)].sum()), name)


@dataclass(frozen=True, kw_only=True)
class _SourceWay(Way):
    """From pixels to the loadings of sources, and to what these say of them.

    Parameters
    ----------
    into : numpy.ndarray
        Shape (component, source): from loadings of the components to those of the sources.
    looks : numpy.ndarray
        Shape (source, feature): factors of the sources, 0 on channels that were left out.
    """

    into: npt.NDArray[np.float64]
    looks: npt.NDArray[np.float64]

    @cached_property
    def _product(self) -> ExactProduct:
        return ExactProduct(self.into)

    def loadings(self, block: Block) -> Rows:
        """Loadings of a block's pixels."""
        known = super().loadings(block)[:, : len(self.into)]
        valid = np.isfinite(known).all(axis=1)
        loadings = np.full_like(known, np.nan)
        loadings[valid] = self._product(known[valid])[0]
        return loadings

    def model(self, block: Block, kept: Kept) -> Rows:
        """Rows of a block's pixels as some sources describe them."""
        if kept is None:
            return super().model(block, tuple(range(len(self.into))))
        loadings = self.loadings(block)
        valid = np.isfinite(loadings).all(axis=1)
        rows = super().model(block, ())  # the mean
        rows[valid] += ExactProduct(self.looks[list(kept)])(loadings[valid][:, list(kept)])[0]
        return rows


def _loadings(block: Block, way: Way) -> Rows:
    return way.loadings(block)
