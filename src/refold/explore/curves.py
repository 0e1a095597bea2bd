"""Which signals are drawn, and how they are scaled: those of ticked clusters, or of what is selected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.editing.operations import Split
from refold.explore.means import Mean, Means, Norm, Shown, displayed, normalised
from refold.report.words import count

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["Curve", "Curves", "Ways"]

Floats = NDArray[np.float64]
_MOST = {"image": 8}
_USUAL = 12
SELECTION = -2
"""Stands for the selection where there are ids of clusters."""


@dataclass
class Ways:
    """How signals are shown.

    Attributes
    ----------
    cube : str
        Of a run of several.
    total : bool
        Sums over the pixels instead of means.
    norm : {"none", "peak", "area"}
    display : {"linear", "sqrt", "log"}
    part : tuple of float or None
        Ends of the range along the signal that is shown, and that counts in the norm; None for all.
    """

    cube: str = ""
    total: bool = False
    norm: Norm = "none"
    display: Shown = "linear"
    part: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """One signal to draw.

    Attributes
    ----------
    id : int
        Of the cluster, or `SELECTION`.
    label : str
    colour : str
        Empty for ink.
    values : numpy.ndarray
        Float64 (channel,) or (row, column), scaled as asked.
    exact : bool
        Whether it is the mean, or the sum, of just these pixels; else an estimate.
    """

    id: int
    label: str
    colour: str
    values: Floats
    exact: bool


class Curves:
    """The signals of a model.

    Parameters
    ----------
    model : Model

    Attributes
    ----------
    names : tuple of str
        Cubes whose mean signals the run knows; none if it knows none.
    ways : Ways
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.names = Means.names(model.run)
        self._means: dict[str, Means] = {}
        self.ways = Ways()
        if self.names:
            self.show(self.names[0])

    def show(self, cube: str) -> None:
        """Show another cube, as suits it."""
        self.ways = Ways(cube, display="linear")
        signals = self.means.signals
        if signals.is_image:
            self.ways.display = signals.display

    @property
    def means(self) -> Means:
        """Mean signals of the cube that is shown."""
        cube = self.ways.cube
        if cube not in self._means:
            self._means[cube] = Means(self.model.run, cube)
        return self._means[cube]

    @property
    def kind(self) -> str:
        """``"none"``, ``"number"``, ``"line"`` or ``"image"``: what a signal is."""
        if not self.names:
            return "none"
        signals = self.means.signals
        return "image" if signals.is_image else "number" if signals.is_number else "line"

    @property
    def most(self) -> int:
        """Of so many clusters signals are drawn while none is ticked."""
        return _MOST.get(self.kind, _USUAL)

    def curves(self) -> list[Curve]:
        """Signals to draw: one of each ticked cluster, of the largest where none is ticked, or of the selection."""
        if self.kind == "none":
            return []
        choice = self.model.choice
        found = list(self._of_clusters()) if choice is None or choice.selection is None else []
        if choice is not None and (choice.selection is not None or -1 in choice.clusters):
            mean = self.selected()
            if mean is not None:
                found.append(self._curve(SELECTION, "selection", "", mean))
        return found

    def _of_clusters(self) -> Iterator[Curve]:
        model = self.model
        ticked = [cluster for cluster in model.clusters if cluster.id in model.chosen]
        if not model.chosen:
            ticked = sorted(model.clusters, key=lambda cluster: -model.counts.get(cluster.id, 0))[: self.most]
        read = self._read() if len(ticked) == len(model.chosen) == 1 else None  # with noise it is of both
        for cluster in sorted(ticked, key=lambda cluster: cluster.id):
            mean = read or self.mean_of(model.pieces.within([cluster.id]))
            if mean is not None:
                yield self._curve(cluster.id, cluster.name, cluster.colour, mean)

    def selected(self) -> Mean | None:
        """Mean signal of what is selected, or of everything: as it was read, or else from the clusters' means."""
        read = self._read()
        if read is not None:
            return read
        choice, model = self.model.choice, self.model
        return self.mean_of((model.rows.labels >= 0) if choice is None else choice.mask)

    def mean_of(self, mask: NDArray[np.bool_]) -> Mean | None:
        """Mean signal of some rows, from those of the run's clusters that they are in."""
        model = self.model
        labels = model.rows.labels[mask & model.rows.usable]
        found = np.bincount(labels + 1) if labels.size else np.zeros(0, int)
        mean = self.means.pooled({label - 1: int(n) for label, n in enumerate(found) if n}, model.base)
        if mean is None or (mean.exact and self._sure and self.means.sizes):
            return mean
        step = model.rows.thinning.step
        return replace(mean, pixels=mean.pixels * step**2 / self._window, exact=mean.exact and self._sure)

    @property
    def _sure(self) -> bool:
        """Whether what holds all rows of a cluster holds all its pixels: none was left out, or nothing was cut."""
        model = self.model
        cut = model.outline is not None or any(isinstance(each, Split) for each in model.edits.history.effective)
        return model.rows.thinning.step == 1 or not cut

    @property
    def _window(self) -> int:
        """Pixels of the labels that share one signal, where it was measured, or averaged, on a coarser grid."""
        known, step = sum(self.means.sizes.values()), self.model.rows.thinning.step
        held = sum(n for label, n in self.model.base.items() if label >= 0)
        return max(round(held * step**2 / known), 1) if known else 1

    def _read(self) -> Mean | None:
        """What was read of the selection in the background, in the cube that is shown."""
        signal, choice = self.model.reading.signal, self.model.choice
        if isinstance(signal, xr.Dataset):
            signal = signal.get(self.ways.cube) if self.ways.cube else next(iter(signal.values()), None)
        if signal is None or choice is None:
            return None
        pixels = self.model.reading.pixels
        if pixels is None:
            pixels = choice.pixels * self.model.rows.thinning.step**2
        return self.means.like(signal, pixels / self._window)

    def _curve(self, number: int, label: str, colour: str, mean: Mean) -> Curve:
        values = mean.values * mean.pixels if self.ways.total else mean.values
        if values.ndim == 1:
            values = normalised(values, self.ways.norm, self.shown())
        return Curve(number, label, colour, displayed(values, self.ways.display), mean.exact)

    def shown(self) -> slice:
        """Channels that are shown."""
        positions, part = self.positions(), self.ways.part
        if part is None:
            return slice(0, len(positions))
        inside = np.flatnonzero((positions >= min(part)) & (positions <= max(part)))
        return slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, len(positions))

    def positions(self) -> Floats:
        """Where the channels lie along the signal, one for each value of a curve."""
        (axis, *_), values = self.means.axes, self.means.signals.mean
        n = values.shape[1]
        if len(axis.values) == n:
            return axis.values
        starts = np.arange(0, len(axis.values), -(-len(axis.values) // n))
        return np.add.reduceat(axis.values, starts) / np.diff(np.append(starts, len(axis.values)))

    def note(self) -> str:
        """Say what is drawn, in words."""
        if self.kind == "none":
            return "This run has no mean signals of its clusters; refold.cluster_statistics makes them."
        model, choice = self.model, self.model.choice
        if choice is not None and choice.selection is None and len(choice.clusters) > 1:
            return "of each ticked cluster"
        if choice is not None and model.reading.signal is not None and model.reading.note:
            return model.reading.note
        if choice is None:
            most = min(len(model.clusters), self.most)
            return "of each cluster" if most == len(model.clusters) else f"of the {most} largest clusters"
        mean = self.selected()
        if mean is None:
            return "nothing is known yet of these pixels"
        of = f"of {count(choice.pixels)} pixels"
        return f"mean {of}" if mean.exact else f"mean {of}, estimated from those of their clusters"
