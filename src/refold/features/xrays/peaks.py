"""Peaks of a spectrum, found against what is beside them, with the noise of counts known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refold.features.xrays.table import Spectrometer

Floats = npt.NDArray[np.float64]
_LEAST_SHARE = 0.03  # of the counts in its window that a peak stands out by: less is curvature of the background


@dataclass(frozen=True)
class Found:
    """A peak.

    Parameters
    ----------
    energy : float
        Of its centre, in eV.
    counts : float
        Net counts within its full width at half maximum.
    significance : float
        Net counts over their standard deviation.
    """

    energy: float
    counts: float
    significance: float


@dataclass(frozen=True)
class Filtered:
    """A spectrum after a filter of zero area: at each channel a window as wide as a line there, less what is beside it.

    Parameters
    ----------
    energies : numpy.ndarray
        Middles of the channels in eV, rising.
    net, gross, deviation : numpy.ndarray
        Counts in the window, with and without what is beside it taken off; standard deviation of the net counts.
    """

    energies: Floats
    net: Floats
    gross: Floats
    deviation: Floats

    @classmethod
    def of(cls, spectrum: Floats, spectrometer: Spectrometer) -> Filtered:
        """Filter counts; Statham (1977), Anal. Chem. 49, 2149, with the width of the detector at each energy."""
        energies = spectrometer.energies
        if energies is None:
            raise AssertionError("a spectrum without an axis")
        order = np.argsort(energies)
        energies, counts = energies[order], np.clip(np.nan_to_num(spectrum[order]), 0, None)
        step = float(np.median(np.diff(energies))) if energies.size > 1 else 1.0
        half = np.array([spectrometer.width(max(energy, 0.0)) for energy in energies]) / 2
        half = np.maximum(half, 1.5 * step)  # three channels at least: one says nothing about a shape
        total = np.concatenate([[0.0], np.cumsum(counts)])

        def within(low: Floats, high: Floats) -> tuple[Floats, Floats]:
            first, last = np.searchsorted(energies, low), np.searchsorted(energies, high, side="right")
            return total[last] - total[first], (last - first).astype(np.float64)

        gross, n_gross = within(energies - half, energies + half)
        whole, n_whole = within(energies - 2 * half, energies + 2 * half)
        ratio = np.divide(n_gross, n_whole - n_gross, out=np.zeros_like(gross), where=n_whole > n_gross)
        net = gross - ratio * (whole - gross)
        deviation = np.sqrt(np.maximum(gross + ratio**2 * (whole - gross), 1.0))
        # Where a window reaches beyond the axis, one side alone is no measure of the background.
        cut = (energies - 2 * half < energies[0]) | (energies + 2 * half > energies[-1])
        return cls(energies, np.where(cut, 0.0, net), gross, deviation)

    @property
    def significance(self) -> Floats:
        """Net counts over their deviation."""
        return self.net / self.deviation

    def at(self, energy: float) -> tuple[float, float]:
        """Net counts and their deviation at an energy."""
        place = int(np.argmin(np.abs(self.energies - energy)))
        return float(self.net[place]), float(self.deviation[place])

    def peaks(self, least: float, above: float, spectrometer: Spectrometer) -> list[Found]:
        """Highest places of the filtered spectrum, in the order of their energies.

        Parameters
        ----------
        least : float
            Significance from which on a peak is one.
        above : float
            eV below which none is looked for.
        spectrometer : Spectrometer
            For the widths.
        """
        score = self.significance
        good = (score >= least) & (self.net >= _LEAST_SHARE * self.gross) & (self.energies >= above)
        found: list[int] = []
        for place in sorted(np.flatnonzero(good).tolist(), key=lambda at: -float(score[at])):
            # A filtered line has no other summit within its own full width.
            apart = spectrometer.width(self.energies[place]) * 0.75
            if all(abs(self.energies[place] - self.energies[other]) > apart for other in found) and self._summit(place):
                found.append(place)
        return [Found(self._centre(place), float(self.net[place]), float(score[place])) for place in sorted(found)]

    def _summit(self, place: int) -> bool:
        low, high = max(place - 1, 0), min(place + 2, self.net.size)
        return bool(self.net[place] >= self.net[low:high].max())

    def _centre(self, place: int) -> float:
        """Between channels: the summit of a parabola through the three highest."""
        if not 0 < place < self.net.size - 1:
            return float(self.energies[place])
        before, here, after = self.net[place - 1 : place + 2]
        bend = before - 2 * here + after
        shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
        return float(self.energies[place] + shift * (self.energies[place + 1] - self.energies[place]))
