"""What is learnt from of one cube: its signal described, then selected, then taken through steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from refold.cube import signal_dims
from refold.engine import Moments, sweep
from refold.engine.visitor import AnyVisitor
from refold.errors import RecipeError
from refold.features import (
    CentreOfMass,
    ChannelSelection,
    DeviationSelection,
    angular_variance,
    cepstrum,
    element_maps,
    find_beam,
    log_fourier,
    radial_profile,
    virtual_detectors,
)
from refold.features.xrays.maps import told_of_maps
from refold.prepare import clip, log1p, neighbour_average, normalise, softmax, zscore
from refold.recipe import Features

_ABOUT_CENTRE: dict[str, Callable[..., xr.DataArray]] = {
    "radial_profile": radial_profile,
    "angular_variance": angular_variance,
    "virtual_detectors": virtual_detectors,
}
_WITHOUT_CENTRE: dict[str, Callable[..., xr.DataArray]] = {"cepstrum": cepstrum, "log_fourier": log_fourier}
_STEPS: dict[str, Callable[..., xr.DataArray]] = {
    "normalise": normalise,
    "neighbour_average": neighbour_average,
    "zscore": zscore,
    "softmax": softmax,
    "log1p": log1p,
    "clip": clip,
}
_READ_AGAIN = ("neighbour_average", "zscore")  # what is before them is read more than once
Keep = Callable[[str, xr.DataArray], xr.DataArray]


class PartFeatures:
    """Features of one cube: its signal described, then selected.

    Parameters
    ----------
    options : Features
        Which.
    """

    def __init__(self, options: Features) -> None:
        self.options = options
        self.centre: Any = options.parameters.get("centre")
        self.selection = _selection(options)
        descan = options.describe == "centre_of_mass"
        self.centre_of_mass = CentreOfMass(**options.parameters) if descan else None
        self.lines: dict[str, Any] = {}

    @property
    def _seeks_centre(self) -> bool:
        return self.options.describe in _ABOUT_CENTRE and self.centre is None

    @property
    def describes(self) -> bool:
        """Whether something else takes the place of the signal."""
        return self.options.describe is not None or self.options.elements is not None

    @property
    def keeps(self) -> bool:
        """Whether features are written before the steps, which read them more than once, or from their neighbours."""
        made = self.describes or self.selection is not None
        return made and any(name in _READ_AGAIN for name, _ in self.options.steps)

    @property
    def sweeps(self) -> int:
        """Sweeps that the steps take."""
        return self.keeps + sum(name == "zscore" for name, _ in self.options.steps)

    def visitors(self, cube: xr.DataArray) -> tuple[AnyVisitor, ...]:
        """What must see the prepared cube first."""
        if self._seeks_centre:
            return (Moments(),)
        if self.centre_of_mass is not None:
            return tuple(self.centre_of_mass.visitors(cube))
        if self.selection is not None and not self.describes:
            return tuple(self.selection.visitors(cube))
        return ()

    def fit_transform(self, cube: xr.DataArray, seen: tuple[Any, ...] | None, keep: Keep) -> xr.DataArray:
        """Make the features, lazily; sweep first for what no sweep has seen yet, and keep what is read again."""
        if seen is None and (visitors := self.visitors(cube)):
            seen = sweep(cube, *visitors, label="features")
        if self._seeks_centre and seen is not None:
            self.centre = self._centre_of(cube, seen[0].mean)
        if self.centre_of_mass is not None and seen is not None:
            self.centre_of_mass.settle(cube, seen)
        features = self._described(cube, self.centre)
        if self.options.elements is not None:
            self.lines = told_of_maps(cube, self._elements, **self.options.parameters)
        if self.selection is not None:
            known = not self.describes and seen is not None
            fitted = self.selection.settle(features, seen) if known else self.selection.fit(features)
            features = fitted.transform(features)
        # A selection by deviations takes the logarithm itself, before it compares them.
        if self.options.log and self.options.select != "deviation":
            features = log1p(clip(features, 0))
        if self.keeps:
            features = keep(str(cube.name), features)
        for name, options in self.options.steps:
            features = _STEPS[name](features, **options)
        return features

    def like(self, cube: xr.DataArray) -> int:
        """How many features there will be, at most."""
        middle = [float(cube[dim].mean()) for dim in signal_dims(cube)] if self._seeks_centre else None
        described = self._described(cube, self.centre if middle is None else middle, fitted=False)
        count = int(np.prod([described.sizes[dim] for dim in signal_dims(described)]))
        share = self.options.keep if self.selection is not None else None
        return max(1, round(count * share)) if share is not None else count

    def _described(self, cube: xr.DataArray, centre: Any, *, fitted: bool = True) -> xr.DataArray:
        name, options = self.options.describe, {**self.options.parameters}
        if self.options.elements is not None:
            return element_maps(cube, self._elements, **options)
        if self.centre_of_mass is not None:
            return self.centre_of_mass.transform(cube) if fitted else cube.isel({signal_dims(cube)[0]: slice(0, 2)})
        if name in _ABOUT_CENTRE:
            options.pop("centre", None)
            return _ABOUT_CENTRE[name](cube, centre[:2], **options)
        return _WITHOUT_CENTRE[name](cube, **options) if name in _WITHOUT_CENTRE else cube

    @property
    def _elements(self) -> tuple[str, ...] | None:
        """Lines that are given; None stands for those of the file."""
        elements = self.options.elements
        return elements if isinstance(elements, tuple) else None

    def described(self, cube: xr.DataArray) -> xr.DataArray:
        """What takes the place of a signal, lazily, where nothing has to be found first."""
        return self._described(cube, self.centre)

    @staticmethod
    def _centre_of(cube: xr.DataArray, mean: Any) -> Any:
        dims = signal_dims(cube)
        coords = {dim: cube[dim] for dim in dims}
        return find_beam(xr.DataArray(mean.reshape([cube.sizes[dim] for dim in dims]), coords, dims))

    def note(self) -> dict[str, Any]:
        """What was found, for the record of the run."""
        found: dict[str, Any] = dict(self.lines)
        if self.selection is not None:
            found["kept"] = int(self.selection.n_features_)
            beam = getattr(self.selection, "beam_", None)
            found |= {"beam": [float(number) for number in beam]} if beam is not None else {}
        if self.options.describe in _ABOUT_CENTRE:
            found["centre"] = [float(number) for number in self.centre[:2]]
        return found


def _selection(options: Features) -> Any:
    beam = None if options.beam == "none" else options.beam
    if options.select == "deviation":
        return DeviationSelection(keep=0.4 if options.keep is None else options.keep, log=options.log, beam=beam)
    if options.select == "channels":
        return ChannelSelection(
            options.threshold or 0.0, keep=options.keep, include=options.include, exclude=options.exclude
        )
    unused = [name for name in ("keep", "threshold", "include", "exclude") if getattr(options, name) is not None]
    if unused:
        raise RecipeError(
            f"features.{unused[0]} without features.select", "a selection", 'say select = "deviation" or "channels"'
        )
    return None
