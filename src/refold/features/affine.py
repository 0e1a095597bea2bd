"""Centre and scale of every feature, found as scikit-learn finds them, from what sweeps know of a cube."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from refold.engine import MomentsResult
from refold.errors import DataError

Vector = npt.NDArray[np.float64]
AffineKind = Literal["none", "standard", "robust", "minmax"]
AFFINE: tuple[AffineKind, ...] = ("none", "standard", "robust", "minmax")
QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Affine:
    """``(value - center) / scale``, feature by feature.

    Parameters
    ----------
    center, scale : numpy.ndarray
        Shape (feature,).
    """

    center: Vector
    scale: Vector

    def __call__(self, values: npt.NDArray[Any]) -> Vector:
        """Reckon in doubles whatever the values are, so that a small deviation from a large mean keeps its figures."""
        result: Vector = (values - self.center) / self.scale
        return result

    def then(self, other: Affine) -> Affine:
        """Join with one that comes after it."""
        return Affine(self.center + self.scale * other.center, self.scale * other.scale)

    @classmethod
    def side_by_side(cls, parts: Sequence[Affine]) -> Self:
        """Join those of several cubes."""
        return cls(np.concatenate([part.center for part in parts]), np.concatenate([part.scale for part in parts]))

    @classmethod
    def identity(cls, n_features: int) -> Self:
        """Leave all as it is."""
        return cls(np.zeros(n_features), np.ones(n_features))


def affine(kind: str, moments: MomentsResult, quartiles: Vector | None) -> Affine:
    """Find centre and scale.

    Parameters
    ----------
    kind : {"none", "standard", "robust", "minmax"}
        Mean and standard deviation; median and the distance of the quartiles; minimum and range.
    moments : MomentsResult
        Of all pixels.
    quartiles : numpy.ndarray or None
        Shape (3, feature), where ``kind`` is robust.

    Returns
    -------
    Affine
        A feature that does not vary has the scale 1, as in scikit-learn.

    Raises
    ------
    DataError
        If no pixel is valid.
    """
    if not moments.count:
        raise DataError(
            f"something not finite in each of {moments.n_pixels} pixels",
            "pixels that are finite in every channel",
            "mask the channels that are not, or fill them",
        )
    if kind == "none":
        return Affine.identity(len(moments.mean))
    if kind == "standard":
        noise = moments.count * np.finfo(np.float64).eps
        flat = moments.variance <= noise * moments.variance + (noise * moments.mean) ** 2
        return Affine(moments.mean, np.where(flat, 1.0, np.sqrt(moments.variance)))
    if kind == "minmax":
        return Affine(moments.minimum, _not_zero(moments.maximum - moments.minimum))
    assert quartiles is not None
    return Affine(quartiles[1], _not_zero(quartiles[2] - quartiles[0]))


def _not_zero(scale: Vector) -> Vector:
    """As scikit-learn's `_handle_zeros_in_scale` for doubles."""
    return np.where(scale < 10 * np.finfo(np.float64).eps, 1.0, scale)
