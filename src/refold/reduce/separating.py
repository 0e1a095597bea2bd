"""Sources of what is already decomposed."""

from __future__ import annotations

from typing import Any

import xarray as xr
from sklearn.utils.validation import check_is_fitted

from refold.cube import check_cube
from refold.reduce.ica import ICA


def separate(
    decomposition: Any, n_components: int | None = None, *, cube: xr.DataArray | None = None, **options: Any
) -> ICA:
    """Separate the sources of what is already decomposed.

    Parameters
    ----------
    decomposition : PCA or other fitted model
        Its components are what sources are sought in.
    n_components : int, optional
        How many of them, from the first; all by default.
    cube : xarray.DataArray, optional
        The scan; needed with ``on="loadings"``, for one sweep. On factors nothing is read.
    **options
        Of `ICA`.

    Returns
    -------
    ICA
        Fitted.

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
    >>> model = refold.PCA(3, center=False).fit(refold.as_cube(maps @ spectra, signal="energy"))
    >>> separate(model, algorithm="orthomax").n_sweeps_
    0
    """
    check_is_fitted(decomposition)
    model = ICA(n_components, decomposition=decomposition, **options)
    for name in ("_signal", "_dtype", "n_features_in_", "feature_names_in_"):
        if hasattr(decomposition, name):
            setattr(model, name, getattr(decomposition, name))
    told = None if cube is None else decomposition._enter(check_cube(cube), reset=False)
    return model._separate(decomposition, model._options(), told, 0)
