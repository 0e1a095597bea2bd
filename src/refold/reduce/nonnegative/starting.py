"""Where nonnegative factors start: from a sample of the rows, drawn in the first sweep."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import Block, Where
from refold.engine.settings import Settings
from refold.errors import DataError, ParameterError

Vector = npt.NDArray[np.float64]

INITS = ("nndsvda", "random")
_SAMPLE_BYTES = 1 << 26  # of a sample, by default
_SHARE = 64  # of the memory allowed, for a sample in one of the states that are alive
_LEAST = 256  # rows


def sample_rows(features: int, components: int, setup: Settings) -> int:
    """Rows to draw by default: 64 MB of them, or less where memory is tight."""
    room = min(_SAMPLE_BYTES, setup.budget.memory // _SHARE) // (8 * features)
    return max(_LEAST, 4 * components, room)


def first_factors(rows: Vector, count: int, init: str, seed: int) -> Vector:
    """Nonnegative factors to start from.

    Parameters
    ----------
    rows : numpy.ndarray
        Shape (row, feature), nonnegative.
    count : int
        Factors wanted.
    init : {"nndsvda", "random"}
        Positive parts of the leading singular vectors, their zeros filled with the mean (Boutsidis and Gallopoulos
        2008, Pattern Recognit. 41, 1350); or random numbers.
    seed : int
        Of random numbers.

    Returns
    -------
    numpy.ndarray
        Shape (component, feature). The scale of each does not matter: loadings are solved for.

    Examples
    --------
    >>> rows = np.array([[4.0, 4.0, 0.0], [0.0, 0.0, 3.0], [4.0, 4.0, 3.0]])
    >>> first_factors(rows, 2, "nndsvda", 0).shape
    (2, 3)
    """
    mean = float(rows.mean()) if rows.size else 1.0
    random: Vector = np.abs(np.random.default_rng(seed).standard_normal((count, rows.shape[1]))) * np.sqrt(mean / count)
    if init == "random":
        return random
    from sklearn.utils.extmath import randomized_svd

    known = min(count, *rows.shape)
    left, values, right = randomized_svd(rows, known, random_state=seed, flip_sign=False)
    factors = random.copy()
    factors[0] = np.sqrt(values[0]) * np.abs(right[0])
    for index in range(1, known):
        factors[index] = _positive_part(left[:, index], right[index], values[index])
    factors[:known][factors[:known] < 1e-6 * max(mean, np.finfo(np.float64).tiny)] = mean
    return factors


def _positive_part(left: Vector, right: Vector, value: float) -> Vector:
    """Of a singular vector, the larger of its positive and its negative side."""
    sides = []
    for sign in (1.0, -1.0):
        one, other = np.maximum(sign * left, 0), np.maximum(sign * right, 0)
        weight = np.linalg.norm(one) * np.linalg.norm(other)
        sides.append((weight, other / max(np.linalg.norm(other), np.finfo(np.float64).tiny)))
    weight, side = max(sides, key=lambda found: found[0])
    return np.asarray(np.sqrt(value * weight) * side)


def check_options(model: Any) -> None:
    """Raise a ParameterError where an option of an `NMF` has a value that it cannot have."""
    for name, allowed in (("scaling", (None, "poisson")), ("negative", ("raise", "clip"))):
        if getattr(model, name) not in allowed:
            raise ParameterError(f"{name}={getattr(model, name)!r}", f"one of {allowed}", f"choose {name} among these")
    for name, least in (("n_components", 1), ("max_iter", 1), ("tol", 0), ("sample_size", 1)):
        value = getattr(model, name)
        kind = Real if name == "tol" else Integral
        wrong = isinstance(value, bool) or not isinstance(value, kind)
        if (value is not None or name != "sample_size") and (wrong or not value >= least):
            raise ParameterError(f"{name}={value!r}", f"a number of {least} or more", f"choose another {name}")
    if isinstance(model.init, str) and model.init not in INITS:
        raise ParameterError(f"init={model.init!r}", f"one of {INITS}, or spectra", "choose init among these")


def refuse_negative(count: int, values: int) -> None:
    """Raise a DataError where so many of all values are negative."""
    if count:
        raise DataError(
            f"Negative values in data passed to NMF: {count} of {values}, {count / values:.2g} of all",
            "values of 0 or more",
            "pass negative='clip' where they are noise about 0, as after a background was subtracted, or crop "
            "the channels",
        )


def channel_factors(mean: Vector, scaling: str | None) -> Vector | None:
    """Factor of each feature in the error: the inverse root of its mean for Poisson noise, else None."""
    if not np.any(mean > 0):
        raise DataError("nothing above 0 in any valid pixel", "some signal", "check the data and the crop")
    if scaling is None:
        return None
    return np.divide(1.0, np.sqrt(np.maximum(mean, 0)), out=np.zeros_like(mean), where=mean > 0)


def given_factors(init: Any, shape: tuple[int, int]) -> Vector:
    """Spectra given to start from, checked."""
    given = np.asarray(init, np.float64).reshape(len(init), -1)
    if given.shape != shape or not np.all(given >= 0):
        raise ParameterError(
            f"init of shape {np.shape(init)}", f"nonnegative spectra of shape {shape}", "give one for each component"
        )
    return given


class Negatives:
    """Visitor: how many values are negative, in all, and their sum in each channel; of valid pixels."""

    def __init__(self, n_features: int) -> None:
        self.nbytes = 8 * n_features

    def start(self) -> list[npt.NDArray[np.float64]]:
        """None yet."""
        return []

    def visit(self, state: list[npt.NDArray[np.float64]], block: Block, where: Where) -> None:
        """Count those of a block."""
        if not state:
            state += [np.zeros(1), np.zeros(block.rows.shape[1])]
        if block.data.dtype.kind != "u":
            for row in block.valid_rows[block.valid_rows.min(axis=1, initial=0.0) < 0]:
                low = np.minimum(row, 0, dtype=np.float64)
                state[0] += np.count_nonzero(low)
                state[1] += low

    def merge(
        self, one: list[npt.NDArray[np.float64]], other: list[npt.NDArray[np.float64]]
    ) -> list[npt.NDArray[np.float64]]:
        """Add."""
        return [a + b for a, b in zip(one, other, strict=True)] if one and other else one or other

    def finish(self, state: list[npt.NDArray[np.float64]]) -> tuple[int, Vector]:
        """Their number, and their sum in each channel."""
        return int(state[0][0]), state[1]
