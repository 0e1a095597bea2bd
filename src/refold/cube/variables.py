"""Every variable of a run, declared once: its dims, dtype, units, fill value and meaning.

Each stage's output passes through `conform`. xarray keeps the attributes of an input by default; without this door the
argmax of a cube of counts would be a label map in counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from refold.cube.axes import ROLE
from refold.errors import VariableError

NAVIGATION = "*navigation"
SIGNAL = "*signal"


@dataclass(frozen=True, slots=True)
class Variable:
    """The declaration of one result variable.

    Parameters
    ----------
    name : str
        Name in the run.
    dims : tuple of str
        Its dims; ``*navigation`` and ``*signal`` stand for those of the scan.
    dtype : str
        NumPy dtype, exactly.
    meaning : str
        One line for people; becomes the ``long_name``.
    fill : float, int or str
        Value where there is no answer (an invalid pixel).
    units : str
        Units, or ``1`` for a number without.
    """

    name: str
    dims: tuple[str, ...]
    dtype: str
    meaning: str
    fill: float | int | str = float("nan")
    units: str = "1"


VARIABLES = {
    variable.name: variable
    for variable in (
        Variable("labels", (NAVIGATION,), "int32", "cluster of each pixel; -1 is noise", fill=-1),
        Variable("probability", (NAVIGATION,), "float32", "probability of belonging to the cluster given", fill=0),
        Variable("membership", (NAVIGATION, "cluster"), "float32", "soft membership in every cluster", fill=0),
        Variable("scores", (NAVIGATION, "component"), "float32", "coordinates in the reduced space"),
        Variable("embedding", (NAVIGATION, "latent"), "float32", "coordinates in the latent space"),
        Variable("residual", (NAVIGATION,), "float32", "what the components did not explain, root mean square"),
        Variable("stability", (NAVIGATION,), "float32", "share of repeats that agree on the cluster"),
        Variable("consensus", (NAVIGATION,), "int32", "cluster that most repeats agree on; -1 is noise", fill=-1),
        Variable("consensus_probability", (NAVIGATION,), "float32", "how often together with that cluster", fill=0),
        Variable("cluster_stability", ("cluster",), "float32", "mean stability of the pixels of each cluster"),
        Variable("cluster_jaccard", ("repeat", "cluster"), "float32", "Jaccard index of each cluster in each repeat"),
        Variable("repeat_clusters", ("repeat",), "int64", "clusters found in each repeat", fill=0),
        Variable("repeat_ari", ("repeat",), "float64", "adjusted Rand index of each repeat and the run"),
        Variable("pairwise_ari", ("repeat", "other_repeat"), "float64", "adjusted Rand index of each two repeats"),
        Variable("agreeing_pixels", ("agreeing",), "int64", "pixels by the number of repeats that agree", fill=0),
        Variable("components", ("component", SIGNAL), "float32", "loadings: what each component looks like"),
        Variable("explained_variance_ratio", ("component",), "float64", "share of the variance along each component"),
        Variable("loss_learnt", ("epoch",), "float64", "loss of the pixels that were learnt from, while training"),
        Variable("loss_judged", ("epoch",), "float64", "loss of the pixels that judged each epoch"),
        Variable("score_histogram", ("component", "deviation"), "int64", "pixels by score, in deviations", fill=0),
        Variable("signal_mean", (SIGNAL,), "float64", "mean over all valid pixels"),
        Variable("signal_std", (SIGNAL,), "float64", "standard deviation over all valid pixels"),
        Variable("cluster_mean", ("cluster", SIGNAL), "float32", "mean signal of each cluster"),
        Variable("cluster_std", ("cluster", SIGNAL), "float32", "standard deviation of the signal in each cluster"),
        Variable("cluster_size", ("cluster",), "int64", "pixels in each cluster", fill=0),
        Variable("cluster_id", ("cluster",), "int32", "number of the cluster among edits by hand", fill=-1),
        Variable("cluster_name", ("cluster",), "object", "what the cluster is called", fill=""),
        Variable("cluster_colour", ("cluster",), "object", "colour of the cluster, as #rrggbb", fill=""),
        Variable("cluster_labels", ("cluster", NAVIGATION), "uint8", "1 where a pixel is in the cluster", fill=0),
        Variable("landmark_pixel", ("landmark",), "int64", "flat index of the landmark on the scan's grid", fill=-1),
        Variable("landmark_scores", ("landmark", "component"), "float32", "coordinates of the landmark"),
        Variable("landmark_weight", ("landmark",), "float64", "how many pixels the landmark stands for"),
        Variable("landmark_embedding", ("landmark", "latent"), "float32", "latent coordinates of the landmark"),
        Variable("landmark_label", ("landmark",), "int32", "cluster of the landmark; -1 is noise", fill=-1),
        Variable("landmark_probability", ("landmark",), "float32", "probability of the landmark's cluster", fill=0),
        Variable("landmark_membership", ("landmark", "cluster"), "float32", "soft membership of the landmark", fill=0),
        Variable("mixture_means", ("cluster", "latent"), "float64", "centre of each Gaussian of a mixture"),
        Variable("mixture_covariances", ("cluster", "latent", "other_latent"), "float64", "covariance of each of them"),
        Variable("mixture_weights", ("cluster",), "float64", "share of the pixels that each of them holds"),
    )
}


# In a run of several cubes these have the name of a cube behind: ``cluster_mean_eds``.
_OF_CUBES = ("cluster_mean", "cluster_std", "components")


def declared(name: str) -> Variable | None:
    """Declaration of a variable, if there is one.

    Parameters
    ----------
    name : str
        Its name; in a run of several cubes with the name of a cube behind it.

    Returns
    -------
    Variable or None
        The declaration.

    Examples
    --------
    >>> declared("cluster_mean_eds").dims
    ('cluster', '*signal')
    """
    base = next((base for base in _OF_CUBES if name.startswith(f"{base}_")), name)
    return VARIABLES.get(base)


def conform(name: str, array: xr.DataArray) -> xr.DataArray:
    """Pass a stage's output through its declaration.

    Parameters
    ----------
    name : str
        A name in `VARIABLES`.
    array : xarray.DataArray
        The output; its navigation and signal dims carry roles.

    Returns
    -------
    xarray.DataArray
        The same values under that name, with the declared units and meaning as its only attributes.

    Raises
    ------
    VariableError
        If the name is not declared, or dims or dtype are not as declared.

    Examples
    --------
    >>> import numpy as np, refold
    >>> cube = refold.as_cube(np.ones((2, 3, 4)), signal="energy")
    >>> conform("labels", cube.argmax("energy").astype("int32")).attrs
    {'units': '1', 'long_name': 'cluster of each pixel; -1 is noise'}
    """
    variable = declared(name)
    if variable is None:
        raise VariableError(f"a variable {name!r}", f"one of {sorted(VARIABLES)}", "declare it in cube/variables.py")
    if array.dtype != np.dtype(variable.dtype):
        raise VariableError(
            f"{name} of dtype {array.dtype}", variable.dtype, "convert it where it is made, knowing what is lost"
        )
    pattern = tuple(_role_pattern(array, variable.dims))
    if pattern != variable.dims:
        raise VariableError(
            f"{name} with dims {array.dims}, that is {pattern}", str(variable.dims), "name and order its dims so"
        )
    result = array.copy(deep=False).rename(name)
    result.attrs = {"units": variable.units, "long_name": variable.meaning}
    result.encoding = {}  # the chunks and fill value of what it was computed from
    return result


def _role_pattern(array: xr.DataArray, declared: tuple[str, ...]) -> list[str]:
    """The dims of an array with runs of navigation and of signal dims folded into one word each."""
    pattern: list[str] = []
    for dim in map(str, array.dims):
        role = array.coords[dim].attrs.get(ROLE) if dim in array.coords else None
        # By its name where the variable has it by name: scores are a cube too, with `component` as its signal.
        word = dim if dim in declared or role is None else f"*{role}"
        if not (pattern and word.startswith("*") and pattern[-1] == word):
            pattern.append(word)
    return pattern
