"""How the training of an autoencoder went: its loss, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.errors import VariableError
from refold.report.canvas import Look, ThemeName, drawing, new_figure
from refold.report.views import load

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["has_losses", "loss_curve"]

_JUDGED, _LEARNT = "#0072b2", "#d55e00"
_NAMES = ("loss_learnt", "loss_judged")
_STEEP = 5.0  # from here on a logarithmic scale shows more


def has_losses(dataset: xr.Dataset) -> bool:
    """Whether a run was reduced by something that was trained."""
    return all(name in dataset for name in _NAMES)


def loss_curve(trained: Any, *, theme: ThemeName = "light", width: float = 4.6) -> Figure:
    """Draw the loss of each epoch: of the pixels that were learnt from, and of those that judged.

    Parameters
    ----------
    trained : Autoencoder or xarray.Dataset
        A fitted `refold.Autoencoder`, or a run that was reduced by one.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Both losses against the epoch, with a ring at the epoch whose weights were kept. Where the two part, the network
        learns pixels by heart.

    Raises
    ------
    VariableError
        If nothing was trained.
    """
    learnt, judged = _losses_of(trained)
    with drawing(theme) as look:
        figure = new_figure(width, width * 0.66)
        axes = figure.add_axes((0.16, 0.17, 0.81, 0.79))
        epochs = np.arange(1, len(judged) + 1)
        marker: dict[str, Any] = {"marker": "o", "markersize": 3.0} if len(epochs) <= 40 else {}
        same = np.array_equal(learnt, judged, equal_nan=True)
        if not same:
            axes.plot(epochs, learnt, color=_LEARNT, lw=1.2, ls=(0, (4, 2)), label="learnt from, while training")
        axes.plot(epochs, judged, color=_JUDGED, lw=1.4, label="while training" if same else "judging", **marker)
        _mark_best(axes, epochs, judged, look)
        _finish(axes, np.concatenate([learnt, judged]), len(epochs))
        return figure


def _losses_of(trained: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if isinstance(trained, xr.Dataset) and has_losses(trained):
        learnt, judged = (load(trained[name]).astype(float).ravel() for name in _NAMES)
        return learnt, judged
    curve = None if isinstance(trained, xr.Dataset) else getattr(trained, "loss_curve_", None)
    if curve is None or np.ndim(curve) != 2:
        what = "a run" if isinstance(trained, xr.Dataset) else f"a {type(trained).__name__}"
        raise VariableError(
            found=f"{what} without losses",
            wanted="a fitted Autoencoder, or a run that was reduced by one",
            remedy="Reduce with method='autoencoder', or draw another figure.",
        )
    values = np.asarray(curve, dtype=float)
    return values[:, 0], values[:, 1]


def _mark_best(axes: Axes, epochs: NDArray[np.int64], judged: NDArray[np.float64], look: Look) -> None:
    if not np.isfinite(judged).any():
        return
    best = int(np.nanargmin(judged))
    where = (float(epochs[best]), float(judged[best]))
    axes.plot(*where, marker="o", markersize=9, mfc="none", mec=_JUDGED, mew=1.6, ls="none")
    right = best > len(epochs) / 2
    axes.annotate(
        f"{judged[best]:.3g} in epoch {best + 1}", where, xytext=(-6 if right else 6, 9), textcoords="offset points",
        ha="right" if right else "left", va="bottom", color=look.ink,
    )  # fmt: skip


def _finish(axes: Axes, values: NDArray[np.float64], count: int) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    drawn = values[np.isfinite(values)]
    if drawn.size and drawn.min() > 0 and drawn.max() > _STEEP * drawn.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0), numticks=8))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set(xlabel="epoch", ylabel="loss", xlim=(0.5, max(count, 1) + 0.5))
    axes.margins(y=0.12)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0, which="both")
    axes.spines["left"].set_visible(False)
    axes.legend(loc="upper right")
