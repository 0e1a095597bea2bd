"""What a run will do, before anything is read: its cubes, how they are cut, what is written, and what it will cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import xarray as xr

from refold.answers import clusterer_for
from refold.cube import n_features, n_pixels, navigation_dims
from refold.engine import current_settings, plan_grid, working_bytes
from refold.engine.layout import summing_bytes
from refold.engine.machine import machine_rates
from refold.engine.reading import CubeReader
from refold.engine.visitor import AnyVisitor
from refold.parts import Part, identity_of, parts_of
from refold.planning import Grid
from refold.planning.advice import convert_command, on_rereading
from refold.planning.forecast import Forecast, forecast
from refold.planning.sizes import Sizes
from refold.prepare.fusing import say_passes
from refold.recipe import Recipe, Reduce
from refold.reducing import Reducer
from refold.space import FeatureSpace, makes_features


class Outline:
    """A scan and what a recipe makes of it, lazily.

    Parameters
    ----------
    cubes : mapping of str to xarray.DataArray
        The scan.
    recipe : Recipe
        What to do.
    """

    def __init__(self, cubes: Mapping[str, xr.DataArray], recipe: Recipe) -> None:
        self.recipe = recipe
        self.parts = parts_of(cubes, recipe)
        self.space = FeatureSpace(self.parts, recipe.fuse) if makes_features(self.parts, recipe) else None
        self.reducer = Reducer(self._reduction())
        clusterer_for(recipe.cluster, embedded=recipe.embed.method == "umap")  # refuses options before anything is read

    def _reduction(self) -> Reduce:
        """How features are reduced; of element maps, which are few, not to more components than there are maps."""
        asked = self.recipe.reduce
        if not isinstance(asked.n_components, int) or all(part.features.elements is None for part in self.parts):
            return asked
        return replace(asked, n_components=min(asked.n_components, n_features(self.cube)))

    @property
    def full(self) -> xr.DataArray:
        """The grid whose every pixel gets a label."""
        return self.parts[0].full

    @cached_property
    def cube(self) -> xr.DataArray:
        """What is learnt from, lazily; where it must be fitted first, a cube of its shape."""
        return self.parts[0].cube if self.space is None else self.space.like()

    @cached_property
    def materialise(self) -> bool:
        """Whether the prepared cubes are written.

        By default they are where they are anything else than the scan itself; where the scan lies in a vendor's file,
        which every sweep would have to decode again, often from its beginning; where features are made of them; and
        where fitting takes as many sweeps as the data ask for, so that how often the scan is read is known beforehand:
        once.
        """
        asked = self.recipe.resources.features
        if asked is not None:
            if not asked and self.space is not None:
                self.space.check_unwritten()
            return asked
        if self.space is not None or any(
            part.cube is not part.raw or "reader" in part.raw.attrs for part in self.parts
        ):
            return True
        return self.reducer.cost(self.cube).sweeps > 1

    @property
    def binned(self) -> bool:
        """Whether the answer is found on a coarser navigation grid than the scan's."""
        return any(self.cube.sizes[dim] != self.full.sizes[dim] for dim in navigation_dims(self.full))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Which scan this is."""
        return identity_of(self.parts)

    def first_visitors(self, part: Part) -> tuple[AnyVisitor, ...]:
        """What must see a prepared cube before anything can be learnt."""
        if self.space is not None:
            return self.space.visitors(part)
        return self.reducer.visitors(part.cube)

    @cached_property
    def grids(self) -> dict[str, Grid]:
        """How each prepared cube is cut."""
        return {part.name: plan_grid(part.cube, *self.first_visitors(part)) for part in self.parts}

    @cached_property
    def raw_chunks(self) -> int:
        """Chunks of the scan as it is stored."""
        return sum(part.chunks for part in self.parts)

    @property
    def raw_bytes(self) -> int:
        """Bytes of the scan as it is stored, decoded."""
        return sum(part.raw.nbytes for part in self.parts)

    def reads_scan(self, stage: str) -> bool:
        """Whether a stage reads the scan itself, and not what an earlier one wrote."""
        rereading = ("fuse", "statistics") if self.space is not None else ("reduce", "statistics")
        return stage == "features" or (stage in rereading and not self.materialise)

    # --- the plan -----------------------------------------------------------------------------------------------------

    def forecast(self, reused: frozenset[str] = frozenset()) -> Forecast:
        """What the run will cost; computes nothing."""
        sizes = self._sizes()
        found = forecast(sizes, current_settings().budget.memory, reused)
        told = [say_passes(part.cube) for part in self.parts]
        return replace(found, notes=tuple(filter(None, told)) + self._notes(found, reused))

    def _sizes(self) -> Sizes:
        budget = current_settings().budget
        choice = self.reducer.cost(self.cube) if self.reducer.reduces else None
        pixels, features = n_pixels(self.cube), n_features(self.cube)
        count = self.reducer.options.n_components
        components = count if isinstance(count, int) else min(50, features)
        swept = [(part.cube, self.grids[part.name], self.first_visitors(part)) for part in self.parts]
        if self.space is not None and self.reducer.reduces:
            first = self.reducer.visitors(self.cube)
            swept.append((self.cube, plan_grid(self.cube, *first), first))
        return Sizes(
            n_pixels=pixels,
            n_features=features,
            raw_bytes=self.raw_bytes,
            raw_chunks=self.raw_chunks,
            chunk_reads=sum(CubeReader(part.cube, self.grids[part.name]).reads for part in self.parts),
            feature_bytes=self.cube.nbytes,
            block_memory=budget.workers * max(working_bytes(cube, grid) for cube, grid, _ in swept),
            state_bytes=max(summing_bytes(visitors, grid.n_partitions, budget.workers) for _, grid, visitors in swept),
            n_components=components if self.reducer.reduces else features,
            n_landmarks=self.recipe.landmarks.count(pixels),
            n_latent=self.recipe.embed.n_components if self.recipe.embed.method == "umap" else 0,
            materialise=self.materialise,
            reduce_sweeps=choice.sweeps + (2 if self.recipe.reduce.outliers else 0) if choice else 0,
            flops=choice.flops if choice else 0,
            tasks_per_sweep=max(2 * grid.n_partitions - 1 for _, grid, _ in swept),
            workers=budget.workers,
            full_pixels=n_pixels(self.full),
            rates=machine_rates(),
            prepared_bytes=sum(part.cube.nbytes for part in self.parts) if self.space is not None else 0,
            fuse_sweeps=self.space.sweeps if self.space is not None else 0,
            prepared_sweeps=self.space.prepared_sweeps if self.space is not None else 0,
            fuse_bytes=self.space.read_bytes if self.space is not None else 0,
            kept_bytes=self.space.kept_bytes if self.space is not None else 0,
            training_bytes=choice.state_bytes if choice is not None and choice.name == "network" else 0,
            process_bytes=self.reducer.process_bytes,
            reduces=self.reducer.reduces,
        )

    def _notes(self, found: Forecast, reused: frozenset[str]) -> tuple[str, ...]:
        """What the run could do without: chunks decoded more than once in a sweep."""
        sizes = found.sizes
        if not any(grid.splits_chunks for grid in self.grids.values()) and sizes.chunk_reads <= sizes.raw_chunks:
            return ()
        whole = {name: Grid(tuple((0, size) for size in grid.shape)) for name, grid in self.grids.items()}
        once = sum(CubeReader(part.cube, whole[part.name]).reads for part in self.parts)
        lean = forecast(replace(sizes, chunk_reads=once), found.memory_allowed, reused)
        if found.bytes_read == lean.bytes_read:
            return ()
        # Of several cubes the one that is largest is worth converting first.
        largest = max(self.parts, key=lambda part: part.raw.nbytes)
        attrs, source = largest.raw.attrs, self.recipe.of_cube(largest.name)[0].to_dict()
        if "path" not in source and "source" in attrs:
            source = {"path": attrs["source"], "signal": attrs["signal"]}
        command = convert_command(source, self.recipe.resources.memory) if "path" in source else None
        more = (found.bytes_read - lean.bytes_read, found.seconds - lean.seconds)
        return (on_rereading(sizes.chunk_reads / once, *more, command),)
