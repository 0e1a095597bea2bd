"""What is learnt from: the features of each cube, and all of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from refold.cube import ROLE, n_pixels, navigation_dims, signal_dims
from refold.engine import Moments, sweep
from refold.engine.visitor import AnyVisitor
from refold.errors import RecipeError
from refold.features import (
    CentreOfMass,
    ChannelSelection,
    DeviationSelection,
    Fusion,
    angular_variance,
    cepstrum,
    element_maps,
    find_beam,
    log_fourier,
    radial_profile,
    virtual_detectors,
)
from refold.parts import Part
from refold.prepare import clip, log1p, neighbour_average, normalise, softmax, zscore
from refold.recipe import Features, Fuse, Recipe

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
_QUANTILE_SWEEPS = 3
Keep = Callable[[str, xr.DataArray], xr.DataArray]


def makes_features(parts: tuple[Part, ...], recipe: Recipe) -> bool:
    """Whether what is learnt from is anything else than one prepared cube as it is.

    Parameters
    ----------
    parts : tuple of Part
        Cubes of the scan.
    recipe : Recipe
        What to do.

    Returns
    -------
    bool
        Whether features are to be made.
    """
    plain = all(part.features == Features(align=part.features.align) for part in parts)
    return len(parts) > 1 or not plain or recipe.fuse != Fuse() or recipe.reduce.method == "none"


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
        self.found: xr.DataArray | None = None

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
            return element_maps(cube, None if self.options.elements == "listed" else self.options.elements, **options)
        if self.centre_of_mass is not None:
            return self.centre_of_mass.transform(cube) if fitted else cube.isel({signal_dims(cube)[0]: slice(0, 2)})
        if name in _ABOUT_CENTRE:
            options.pop("centre", None)
            return _ABOUT_CENTRE[name](cube, centre[:2], **options)
        return _WITHOUT_CENTRE[name](cube, **options) if name in _WITHOUT_CENTRE else cube

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
        found: dict[str, Any] = {}
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


class FeatureSpace:
    """Features of the cubes of a scan as one cube.

    Parameters
    ----------
    parts : tuple of Part
        The cubes; one whose weight is 0 is not learnt from, only averaged over clusters in the end.
    fuse : Fuse
        How they are fused.

    Raises
    ------
    RecipeError
        If nothing is learnt from.
    """

    def __init__(self, parts: tuple[Part, ...], fuse: Fuse) -> None:
        parts = tuple(part for part in parts if part.features.weight > 0)
        if not parts:
            raise RecipeError("features.weight = 0 of every cube", "something to learn from", "raise one of them")
        self.parts = {part.name: part for part in parts}
        self.of = {part.name: PartFeatures(part.features) for part in parts}
        balance = ("variance" if len(parts) > 1 else "none") if fuse.balance is None else fuse.balance
        self.fusion = Fusion(
            scale={part.name: part.features.scale for part in parts},
            weights={part.name: part.features.weight for part in parts},
            balance=None if balance == "none" else balance,
            ratio={},  # weights say it
            final=fuse.scale,
        )

    @property
    def sweeps(self) -> int:
        """Sweeps over the prepared cubes that fit the features, and the one that writes them; at most."""
        scales = [self.fusion.final, *self.fusion.scale.values()]
        robust = sum(_QUANTILE_SWEEPS for scale in scales if scale == "robust")
        steps = sum(of.sweeps for of in self.of.values())
        return robust + sum(1 for scale in scales if scale not in ("robust", "none", "unit")) + 2 + steps

    @property
    def kept_bytes(self) -> int:
        """Bytes of features that are written before the steps on them."""
        sizes = ((of, self.parts[name].cube) for name, of in self.of.items() if of.keeps)
        return sum(4 * n_pixels(cube) * of.like(cube) for of, cube in sizes)

    def visitors(self, part: Part) -> tuple[AnyVisitor, ...]:
        """What must see a prepared cube before features can be made of it; nothing, if nothing is learnt from it."""
        return self.of[part.name].visitors(part.cube) if part.name in self.of else ()

    def like(self) -> xr.DataArray:
        """A lazy cube of the shape of the features, at most; its values mean nothing."""
        first = next(iter(self.parts.values())).cube
        dims = navigation_dims(first)
        count = sum(self.of[name].like(part.cube) for name, part in self.parts.items())
        chunks = first.chunks[: len(dims)] if first.chunks is not None else (-1,) * len(dims)
        shape = tuple(first.sizes[dim] for dim in dims)
        coords: dict[str, Any] = {dim: first[dim] for dim in dims}
        coords["feature"] = ("feature", np.arange(count), {ROLE: "signal"})
        zeros = da.zeros((*shape, count), dtype=np.float32, chunks=(*chunks, count))
        return xr.DataArray(zeros, coords, (*dims, "feature"), name="features")

    def fit_transform(
        self, cubes: Mapping[str, xr.DataArray], seen: Mapping[str, tuple[Any, ...]], keep: Keep
    ) -> xr.DataArray:
        """Make the features of prepared cubes, lazily.

        Parameters
        ----------
        cubes : mapping of str to xarray.DataArray
            The prepared cubes.
        seen : mapping of str to tuple
            What the visitors found, of those cubes that they have seen.
        keep : callable
            Given a name and a lazy cube, writes it and gives it back as it can be read again.

        Returns
        -------
        xarray.DataArray
            ``(*navigation, feature)``.
        """
        features = {
            name: of.fit_transform(cubes[name].rename(name), seen.get(name), keep) for name, of in self.of.items()
        }
        fused: xr.DataArray = self.fusion.fit(features).transform(features)
        # Where each feature lay in its cube's signal follows from the masks; names under which two cubes may have
        # signal dims of their own would be in each other's way in a store.
        return fused.drop_vars(
            [name for name, at in fused.coords.items() if name != "feature" and "feature" in at.dims]
        )

    def notes(self) -> dict[str, Any]:
        """What was selected and how the cubes are balanced, for the record of the run."""
        table = self.fusion.balance_
        balance = {
            str(cube): {str(name): float(column.sel(cube=cube)) for name, column in table.items()}
            for cube in table["cube"].values
        }
        return {"cubes": {name: of.note() for name, of in self.of.items()}, "balance": balance}

    def variables(self) -> xr.Dataset:
        """Which cube each feature is of, and which signal pixels are kept of each cube."""
        widths = self.fusion.balance_.features.values
        found = {"feature_cube": xr.DataArray(np.repeat(np.arange(len(widths)), widths), dims="feature")}
        for name, of in self.of.items():
            if of.selection is not None and not of.describes:
                mask = of.selection.mask_
                found[f"kept_{name}"] = mask.drop_vars(list(mask.coords))
        return xr.Dataset(found)

    def apart(self, values: xr.DataArray, kept: xr.Dataset) -> dict[str, xr.DataArray]:
        """Take values over all features apart again, and put those of signal pixels where they were in the signal.

        Parameters
        ----------
        values : xarray.DataArray
            ``(component, feature)``.
        kept : xarray.Dataset
            `variables`, as they were stored.

        Returns
        -------
        dict of str to xarray.DataArray
            By cube: ``(component, *signal)``, NaN where nothing was kept; ``(component, feature_NAME)`` of descriptors.
        """
        found = {}
        for at, (name, part) in enumerate(self.parts.items()):
            own = values.values[:, kept["feature_cube"].values == at]
            dims = signal_dims(part.cube)
            if f"kept_{name}" in kept:
                mask = kept[f"kept_{name}"].values
                folded = np.full((len(own), *mask.shape), np.nan, np.float32)
                folded[:, mask] = own
            elif part.features.elements is not None:
                found[name] = self._of_lines(name, own)
                continue
            elif part.features.describe is None:
                folded = own.reshape(len(own), *(part.cube.sizes[dim] for dim in dims))
            else:
                dim = f"feature_{name}"
                places = {dim: (dim, np.arange(own.shape[1]), {ROLE: "signal"})}
                found[name] = xr.DataArray(own, places, ("component", dim))
                continue
            found[name] = xr.DataArray(folded, {dim: part.cube[dim] for dim in dims}, ("component", *dims))
        return found

    def _of_lines(self, name: str, values: np.ndarray[Any, Any]) -> xr.DataArray:
        """Values over element maps, with the names of their lines."""
        maps = self.of[name].described(self.parts[name].cube)
        dim = "line" if len(self.parts) == 1 else f"line_{name}"
        return xr.DataArray(values, {dim: (dim, maps["line"].values, {ROLE: "signal"})}, ("component", dim))
