"""A network as plain arrays: its shape, where its weights start, and how they lie in one vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Weights = dict[str, npt.NDArray[np.float32]]

_LEAK = 0.01


@dataclass(frozen=True)
class Shape:
    """Widths of an autoencoder: down from the features to the latent coordinates, and the same way back up.

    Parameters
    ----------
    features : int
        Width of the data.
    hidden : tuple of int
        Widths between the data and the latent coordinates.
    latent : int
        Latent coordinates.
    variational : bool
        Whether the encoder also says how wide it spreads each pixel over them.

    Examples
    --------
    >>> shape = Shape(100, (32, 16), 4)
    >>> shape.widths, shape.n_weights
    (((100, 32), (32, 16), (16, 4)), 7752)
    """

    features: int
    hidden: tuple[int, ...]
    latent: int
    variational: bool = False

    @property
    def widths(self) -> tuple[tuple[int, int], ...]:
        """Width before and after each layer of the encoder; the decoder's are these, backwards."""
        row = (self.features, *self.hidden, self.latent)
        return tuple(pairwise(row))

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights by name, as PyTorch has them: (after, before)."""
        found: dict[str, tuple[int, ...]] = {}
        for at, (before, after) in enumerate(self.widths):
            found |= {f"encoder.{at}.weight": (after, before), f"encoder.{at}.bias": (after,)}
        if self.variational:
            found |= {"spread.weight": (self.latent, self.widths[-1][0]), "spread.bias": (self.latent,)}
        for at, (after, before) in enumerate(reversed(self.widths)):
            found |= {f"decoder.{at}.weight": (after, before), f"decoder.{at}.bias": (after,)}
        return found

    @property
    def n_weights(self) -> int:
        """Numbers that are learnt."""
        return sum(math.prod(size) for size in self.sizes.values())

    @property
    def widest(self) -> int:
        """Values of a pixel in the widest layer."""
        return max(self.features, self.latent, *self.hidden, 1)


def first_weights(shape: Shape, seed: int) -> Weights:
    """Where training starts: uniform numbers that keep the variance from layer to layer (Glorot and Bengio 2010).

    Parameters
    ----------
    shape : Shape
        Of the network.
    seed : int
        Of the numbers.

    Returns
    -------
    dict of str to numpy.ndarray
        Weights by name, float32; biases and the spread of a variational encoder are 0.

    Examples
    --------
    >>> first_weights(Shape(3, (), 2), seed=0)["encoder.0.weight"].shape
    (2, 3)
    """
    rng = np.random.default_rng(seed)
    found: Weights = {}
    for name, size in shape.sizes.items():
        if len(size) == 1 or name.startswith("spread"):
            found[name] = np.zeros(size, np.float32)
        else:
            bound = math.sqrt(6 / sum(size))
            found[name] = rng.uniform(-bound, bound, size).astype(np.float32)
    return found


def flattened(shape: Shape, weights: Mapping[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """All weights in one vector, in the order of `Shape.sizes`."""
    return np.concatenate([weights[name].ravel() for name in shape.sizes])


def unflattened(shape: Shape, vector: npt.NDArray[np.float32]) -> Weights:
    """The weights that lie in a vector.

    Examples
    --------
    >>> shape = Shape(3, (), 2)
    >>> there = first_weights(shape, seed=0)
    >>> again = unflattened(shape, flattened(shape, there))
    >>> all((again[name] == there[name]).all() for name in there)
    True
    """
    found, start = {}, 0
    for name, size in shape.sizes.items():
        stop = start + math.prod(size)
        found[name] = np.asarray(vector[start:stop], np.float32).reshape(size)
        start = stop
    return found


# --- activations ------------------------------------------------------------------------------------------------------
# Each is applied to float64 numbers that lie in a row without gaps, so that NumPy takes the same way for all of them.


def _relu(values: Vector) -> Vector:
    return np.maximum(values, 0.0, out=values)


def _leaky_relu(values: Vector) -> Vector:
    return np.where(values > 0, values, _LEAK * values)


def _elu(values: Vector) -> Vector:
    return np.where(values > 0, values, np.expm1(np.minimum(values, 0.0)))


def _tanh(values: Vector) -> Vector:
    return np.tanh(values, out=values)


def _silu(values: Vector) -> Vector:
    from scipy.special import expit

    return np.asarray(values * expit(values))


def _gelu(values: Vector) -> Vector:
    from scipy.special import ndtr

    return np.asarray(values * ndtr(values))


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "tanh": _tanh,
    "silu": _silu,
    "gelu": _gelu,
}
