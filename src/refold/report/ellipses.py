"""The Gaussians of a mixture over the space that it was fitted in: one and two standard deviations, as ellipses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.report.canvas import Look
from refold.report.tally import Tally

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SIGMAS", "Gaussians", "draw_ellipses"]

SIGMAS = (1.0, 2.0)
"""Standard deviations at which a Gaussian is outlined."""
_THIN, _THICK = 0.7, 2.2
"""Points of the outline of a Gaussian without weight, and of the heaviest."""


@dataclass(frozen=True, slots=True)
class Gaussians:
    """Shapes of the clusters of a mixture.

    Attributes
    ----------
    means : numpy.ndarray
        (cluster, dimension).
    covariances : numpy.ndarray
        (cluster, dimension, dimension).
    weights : numpy.ndarray
        Share of the pixels that each holds.
    """

    means: NDArray[np.float64]
    covariances: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, dataset: xr.Dataset, space: str, tally: Tally) -> Self | None:
        """Find the Gaussians of a run.

        Parameters
        ----------
        dataset : xarray.Dataset
        space : str
            The variable that is drawn: they must lie in that.
        tally : Tally
            Clusters that there are.

        Returns
        -------
        Gaussians or None
            None where the clusters are no Gaussians, lie in another space, or were changed since.
        """
        wanted = ("mixture_means", "mixture_covariances", "mixture_weights")
        if any(name not in dataset for name in wanted):
            return None
        means, covariances, weights = (np.asarray(dataset[name].values, np.float64) for name in wanted)
        dims = dataset[space].sizes["latent" if space == "embedding" else "component"]
        if means.shape[1] != dims or max(tally.ids, default=-1) >= len(means):
            return None
        return cls(means, covariances, weights)

    def ellipse(
        self, cluster: int, pair: tuple[int, int], sigma: float = 1.0
    ) -> tuple[NDArray[np.float64], float, float, float]:
        """One of them, as it lies in two dimensions when all others are summed over.

        Parameters
        ----------
        cluster : int
            Which.
        pair : tuple of int
            The dimensions.
        sigma : float
            Standard deviations.

        Returns
        -------
        centre : numpy.ndarray
            Both coordinates.
        width, height : float
            Of the ellipse along its own axes, the longer first.
        angle : float
            Degrees from the first dimension to the longer axis, against the clock.

        Examples
        --------
        >>> one = Gaussians(np.zeros((1, 2)), np.array([[[1.0, 0.0], [0.0, 4.0]]]), np.ones(1))
        >>> centre, width, height, angle = one.ellipse(0, (0, 1))
        >>> width, height, abs(angle)
        (4.0, 2.0, 90.0)
        """
        which = list(pair)
        squares, axes = np.linalg.eigh(self.covariances[cluster][np.ix_(which, which)])
        short, long = 2 * sigma * np.sqrt(np.maximum(squares, 0.0))
        angle = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))
        return self.means[cluster, which], float(long), float(short), angle


def draw_ellipses(
    axes: Axes, gaussians: Gaussians, pair: tuple[int, int], tally: Tally, look: Look, sigmas: Sequence[float] = SIGMAS
) -> None:
    """Outline every Gaussian in its cluster's colour, on a margin of paper; the more pixels it holds, the thicker.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Whose limits stay.
    gaussians : Gaussians
    pair : tuple of int
        Dimensions along the axes.
    tally : Tally
    look : Look
    sigmas : sequence of float
        Standard deviations, the strongest line first.
    """
    from matplotlib.patches import Ellipse
    from matplotlib.patheffects import withStroke

    heaviest = max(float(gaussians.weights.max(initial=0.0)), 1e-12)
    for number, colour in zip(tally.ids, tally.colours, strict=True):
        thick = _THIN + (_THICK - _THIN) * float(np.sqrt(gaussians.weights[number] / heaviest))
        for order, sigma in enumerate(sigmas):
            centre, width, height, angle = gaussians.ellipse(number, pair, sigma)
            axes.add_patch(
                Ellipse(
                    (float(centre[0]), float(centre[1])), width, height, angle=angle, fill=False, edgecolor=colour,
                    linewidth=thick, linestyle="-" if order == 0 else (0, (4, 2)), zorder=3,
                    path_effects=[withStroke(linewidth=thick + 1.6, foreground=look.paper)],
                )
            )  # fmt: skip
