"""How large cubes are beside each other in one feature space, and what brings them into balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.engine import MomentsResult
from refold.errors import DataError
from refold.features.affine import Affine

Vector = npt.NDArray[np.float64]
BALANCES = (None, "maximum", "variance")


@dataclass(frozen=True)
class Known:
    """What sweeps found of some features.

    Parameters
    ----------
    moments : MomentsResult
        Without scatter.
    quartiles : numpy.ndarray or None
        Shape (3, feature).
    """

    moments: MomentsResult
    quartiles: Vector | None

    @property
    def whole(self) -> tuple[MomentsResult, Vector | None]:
        """Both, as `affine` takes them."""
        return self.moments, self.quartiles

    def part(self, cut: slice) -> tuple[MomentsResult, Vector | None]:
        """The same of some of the features."""
        names = ("mean", "variance", "minimum", "maximum")
        some = replace(self.moments, **{name: getattr(self.moments, name)[cut] for name in names})
        return some, None if self.quartiles is None else self.quartiles[:, cut]

    def after(self, step: Affine) -> Known:
        """The same of the features once they are scaled, by which extremes and quartiles move along."""
        moments = replace(
            self.moments,
            mean=step(self.moments.mean),
            variance=self.moments.variance / step.scale**2,
            minimum=step(self.moments.minimum),
            maximum=step(self.moments.maximum),
        )
        return Known(moments, None if self.quartiles is None else step(self.quartiles))

    def size(self, cut: slice, by: str) -> float:
        """How large some features are together: the largest value, whatever its sign, or the sum of the variances."""
        moments, _ = self.part(cut)
        if by == "maximum":
            return float(max(np.abs(moments.minimum).max(), np.abs(moments.maximum).max()))
        return float(moments.variance.sum())


def weights_of(known: Known, cuts: Sequence[slice], balance: str | None, ratios: Vector) -> list[float]:
    """Find what each cube is multiplied by. Of those with the ratio 1, the one of most features stays as it is.

    Parameters
    ----------
    known : Known
        Of all features, scaled.
    cuts : sequence of slice
        The features of each cube.
    balance : {None, "maximum", "variance"}
        What is to be balanced.
    ratios : numpy.ndarray
        Shape (cube,): how large the maximum of each is to be beside the others.

    Returns
    -------
    list of float
        One for each cube.

    Raises
    ------
    DataError
        If a cube has no size.
    """
    if balance is None:
        return [1.0] * len(cuts)
    sizes = np.array([known.size(cut, balance) for cut in cuts])
    if not (sizes > 0).all():
        raise DataError(
            f"nothing but {'zeros' if balance == 'maximum' else 'equal values'} in cubes {np.flatnonzero(sizes <= 0)}",
            f"cubes that can be balanced by their {balance}",
            "leave these cubes out, or give weights without a balance",
        )
    weights = ratios / sizes if balance == "maximum" else 1 / np.sqrt(sizes)
    features = np.array([cut.stop - cut.start for cut in cuts])
    stays = np.argmax(np.where((ratios == 1) | (ratios != 1).all(), features, 0))
    return [float(weight) for weight in weights / weights[stays]]


def report(reached: Mapping[str, Known], cuts: Sequence[slice], weights: Mapping[str, float]) -> xr.Dataset:
    """Say how large the cubes have become.

    Parameters
    ----------
    reached : mapping of str to Known
        By the prefix of the variables that say it.
    cuts : sequence of slice
        The features of each cube.
    weights : mapping of str to float
        By the name of the cube.

    Returns
    -------
    xarray.Dataset
        Over ``cube``: see `refold.Fusion`.
    """
    columns: dict[str, Any] = {
        "features": [cut.stop - cut.start for cut in cuts],
        "weight": list(weights.values()),
    }
    for prefix, known in reached.items():
        variance = np.array([known.size(cut, "variance") for cut in cuts])
        columns[f"{prefix}maximum"] = [known.size(cut, "maximum") for cut in cuts]
        columns[f"{prefix}variance"] = variance
        columns[f"{prefix}share"] = variance / (variance.sum() or 1)
    return xr.Dataset({name: ("cube", values) for name, values in columns.items()}, {"cube": list(weights)})
