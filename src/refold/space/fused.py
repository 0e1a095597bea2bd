"""What is learnt from: the features of each cube, and all of them side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from refold.cube import ROLE, n_pixels, navigation_dims, signal_dims
from refold.engine.visitor import AnyVisitor
from refold.errors import RecipeError
from refold.features import Fusion
from refold.parts import Part
from refold.recipe import Features, Fuse, Recipe
from refold.space.one_cube import Keep, PartFeatures

_QUANTILE_SWEEPS = 3


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

    def check_unwritten(self) -> None:
        """Refuse what would read the scan many times, if its prepared cubes are not written.

        Raises
        ------
        RecipeError
            If spectra or patterns themselves are averaged with their neighbours.
        """
        for name, of in self.of.items():
            if not of.keeps and any(step == "neighbour_average" for step, _ in of.options.steps):
                found = f"neighbour_average of the whole signal of {name!r}, and resources.features = false"
                remedy = "let the features be written, or average maps of elements"
                raise RecipeError(found, "features to read neighbours from", remedy)

    @property
    def kept_bytes(self) -> int:
        """Bytes of features that are written before the steps on them."""
        return sum(self._kept_bytes(name) for name in self.of)

    def _kept_bytes(self, name: str) -> int:
        cube = self.parts[name].cube
        return 4 * n_pixels(cube) * self.of[name].like(cube) if self.of[name].keeps else 0

    @property
    def prepared_sweeps(self) -> int:
        """Of the sweeps those over the prepared cubes, and not over what is kept of them."""
        once = 1 + any(of.selection is not None for of in self.of.values())
        return once if all(of.keeps for of in self.of.values()) else self.sweeps

    @property
    def read_bytes(self) -> int:
        """Bytes that all sweeps together read of the prepared cubes, and of what is kept of them."""
        once = 1 + any(of.selection is not None for of in self.of.values())
        return sum(
            self.parts[name].cube.nbytes * (once if of.keeps else self.sweeps)
            + self._kept_bytes(name) * (self.sweeps - once)
            for name, of in self.of.items()
        )

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
