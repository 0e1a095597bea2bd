"""What is made of a trained network: coordinates in an order that compares, and what they stand for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import MomentsResult
from refold.errors import StoreError
from refold.reduce.neural.coding import Coding, Standard
from refold.reduce.neural.layers import Shape, Weights
from refold.reduce.scaling import Scaling, column_factors, refuse_flat

Vector = npt.NDArray[np.float64]

_ENOUGH = 1 << 14  # pixels that say where coordinates lie


@dataclass(frozen=True)
class Found:
    """What latent coordinates stand for.

    Parameters
    ----------
    components : numpy.ndarray
        Shape (component, feature): change of a pixel with one deviation of each.
    deviations : numpy.ndarray
        Shape (component,): root mean square of the scores.
    shares : numpy.ndarray
        Shape (component,): of the variance.
    """

    components: Vector
    deviations: Vector
    shares: Vector


def standard_of(moments: MomentsResult, scaling: Scaling, dtype: np.dtype[Any]) -> Standard:
    """What a network is to be shown of rows with these moments.

    Parameters
    ----------
    moments : MomentsResult
        With ``weighting="poisson"`` if the scaling is.
    scaling : {"standard", "poisson", None}
        As for `Autoencoder`.
    dtype : numpy.dtype
        Of the rows, which says what counts as constant.

    Returns
    -------
    Standard
        Mean and factors.

    Raises
    ------
    DataError
        If nothing varies; or if counts are negative.
    """
    refuse_flat(moments, None, dtype, center=True)
    if scaling == "poisson":
        # Counts that were averaged have less than unit noise; a network trains best on numbers about 1.
        factors = np.asarray(column_factors(moments, scaling, dtype))
        spread = (moments.variance * factors**2)[factors > 0].mean()
        return Standard(moments.mean, factors / np.sqrt(spread), weighted=True)
    # What rounding of a constant leaves, with a margin.
    floor = (10 * np.finfo(dtype).eps * np.abs(moments.mean)) ** 2
    varies = moments.variance > floor
    variance = moments.variance if scaling == "standard" else np.full_like(moments.mean, moments.variance.mean())
    return Standard(moments.mean, np.divide(1, np.sqrt(variance), out=np.zeros_like(variance), where=varies))


def finished(
    trained: Weights,
    standard: Standard,
    activation: str,
    shown: npt.NDArray[np.float32],
    judged: npt.NDArray[np.float32],
    *,
    centred: bool,
) -> tuple[Coding, Found]:
    """Order and sign the coordinates of a trained network, as its function does not care, and say what they stand for.

    Parameters
    ----------
    trained : dict of str to numpy.ndarray
        Weights by name.
    standard : Standard
        What it is shown of a row.
    activation : str
        Between its layers.
    shown : numpy.ndarray
        Shape (row, feature): some pixels, as it is shown them.
    judged : numpy.ndarray
        Shape (row, feature): of these, those that were not learnt from; they say what is explained, if there are any.
    centred : bool
        Whether to shift the coordinates so that these pixels have them at 0 on average.

    Returns
    -------
    Coding, Found
        The network, and what its coordinates stand for.
    """
    weights = {name: value.copy() for name, value in trained.items() if not name.startswith("spread")}
    last = sum(name.startswith("encoder") for name in weights) // 2 - 1
    into, back = f"encoder.{last}", "decoder.0"
    weights[f"decoder.{last}.weight"][standard.factors == 0] = 0  # features that say nothing stay at their mean
    weights[f"decoder.{last}.bias"][standard.factors == 0] = 0
    shown = shown[:: max(1, len(shown) // _ENOUGH)]
    latent = Coding(weights, standard, activation).encoded(shown).astype(np.float64)
    if centred:
        middle = latent.mean(axis=0)
        weights[f"{into}.bias"] = (weights[f"{into}.bias"] - middle).astype(np.float32)
        weights[f"{back}.bias"] = (weights[f"{back}.bias"] + weights[f"{back}.weight"] @ middle).astype(np.float32)
        latent -= middle
    deviations = np.sqrt((latent**2).mean(axis=0))
    order = np.argsort(-deviations, kind="stable")
    steps = _steps(Coding(weights, standard, activation), latent.mean(axis=0), deviations)
    signs = np.sign(steps[np.arange(len(steps)), np.abs(steps).argmax(axis=1)])
    signs = np.where(signs == 0, 1.0, signs)[order].astype(np.float32)
    for name, turned in ((f"{into}.weight", signs[:, None]), (f"{into}.bias", signs)):
        weights[name] = np.ascontiguousarray(weights[name][order] * turned)
    weights[f"{back}.weight"] = np.ascontiguousarray(weights[f"{back}.weight"][:, order] * signs)
    steps = steps[order] * signs[:, None]
    coding = Coding(weights, standard, activation)
    shares = _explained(coding, judged if len(judged) > 1 else shown) * _parts((steps**2).sum(axis=1))
    components = np.divide(steps, standard.factors, out=np.zeros_like(steps), where=standard.factors > 0)
    return coding, Found(components, deviations[order], shares)


def _steps(coding: Coding, middle: Vector, deviations: Vector) -> Vector:
    """How what is rebuilt changes along each coordinate, from one deviation below the middle to one above, halved."""
    along = np.diag(deviations)
    there, before = (
        coding.decoded((middle + along).astype(np.float32)),
        coding.decoded((middle - along).astype(np.float32)),
    )
    return (there - before) / 2


def _explained(coding: Coding, shown: npt.NDArray[np.float32]) -> float:
    """Share of the variance of some pixels that the network rebuilds."""
    left = shown - coding.decoded(coding.encoded(shown))
    total = float(((shown - shown.mean(axis=0, dtype=np.float64)) ** 2).sum())
    return max(0.0, 1 - float((left**2).sum()) / total) if total > 0 else 0.0


def _parts(values: Vector) -> Vector:
    return values / max(float(values.sum()), np.finfo(float).tiny)


def seal_of(*arrays: Any) -> str:
    """SHA-256 of the numbers of some arrays, in the same order of bytes on any machine."""
    seal = hashlib.sha256()
    for values in arrays:
        seal.update(np.ascontiguousarray(values, np.dtype("<f8")).tobytes())
    return seal.hexdigest()


def checked_weights(values: Any, shape: Shape, sealed: bool) -> npt.NDArray[np.float32]:
    """Weights of a saved model.

    Raises
    ------
    StoreError
        If they were cut short or changed.
    """
    found = np.asarray(values)
    if found.size != shape.n_weights or not sealed:
        raise StoreError(
            f"{found.size} weights that are not those that were saved",
            f"the {shape.n_weights} of the network, as they were written",
            "take the model from a copy, or train it again",
        )
    return found.astype(np.float32)
