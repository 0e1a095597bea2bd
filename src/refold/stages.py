"""What each stage of a run does: which rooms it calls, and which results it leaves in the store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr
from zarr.codecs import BloscCodec

from refold.answers import cluster_landmarks, target_chunks, write_labels, write_on_full_grid, write_statistics
from refold.embed import UMAP, Landmarks
from refold.engine import Histogram, Once, ZarrWriter, plan_grid, sweep
from refold.outline import Outline
from refold.parts import Part
from refold.planning import Grid
from refold.recipe import Recipe
from refold.reduce import PCA
from refold.reduce.deviations import SCORE_EDGES, InDeviations, score_histogram
from refold.store import RunStore

# Groups of the store. The last two are moved into its root when they are whole.
FEATURES, FUSED, REDUCE = "stages/features", "stages/fuse", "stages/reduce"
EMBED, CLUSTER = "stages/embed", "stages/cluster"
BINNED = "stages/binned"  # the answer on the grid where it was found, if that is coarser than the scan's
LABELS, STATISTICS = "stages/labels", "stages/statistics"
TRAINING = "training"  # no group: what a network has learnt so far, until the stage is done


class Work(Outline):
    """One run being done: a method for each stage.

    Parameters
    ----------
    cubes : mapping of str to xarray.DataArray
        The scan.
    recipe : Recipe
        What to do.
    """

    def __init__(self, cubes: Mapping[str, xr.DataArray], recipe: Recipe) -> None:
        super().__init__(cubes, recipe)
        self.store: RunStore = RunStore(Path())  # none, until the run begins; planning needs none
        self._seen: dict[str, tuple[Any, ...]] = {}  # what a sweep found besides what it wrote, until it is used

    def features(self) -> dict[str, Any]:
        """Read the scan once: write its prepared cubes, and take the sums that learning from them starts with."""
        for part in self.parts:
            visitors = self.first_visitors(part)
            group = self._group_of(part)
            self._seen[part.name] = self._write_features(group, part.cube, self.grids[part.name], visitors)
        return {}

    def fuse(self) -> dict[str, Any]:
        """Make one feature space of the prepared cubes: select, scale, weigh, and lay side by side."""
        if self.space is None:
            raise AssertionError("no features to be made")  # the pipeline leaves this stage out then
        cubes = {part.name: self._prepared(part) for part in self.parts}
        fused = self.space.fit_transform(cubes, self._seen, self._keep)
        visitors = self.reducer.visitors(fused)
        self._seen = {FUSED: self._write_features(FUSED, fused, plan_grid(fused, *visitors), visitors)}
        self.store.write(FUSED, self.space.variables())
        return self.space.notes()

    def _keep(self, name: str, features: xr.DataArray) -> xr.DataArray:
        """Write features of one cube that further steps read more than once: maps of X-ray lines, for instance."""
        group = f"{FUSED}/kept/{name}"
        self._write_features(group, features, plan_grid(features), ())
        return self._written(group, features)

    def _write_features(self, group: str, cube: xr.DataArray, grid: Grid, visitors: tuple[Any, ...]) -> tuple[Any, ...]:
        """Write a cube, and return what the visitors found."""
        chunks, shared = target_chunks(grid, cube)
        compressor = BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle")
        targets = self.store.targets(group, {"features": cube}, chunks, compressor)
        *found, _ = sweep(cube, *visitors, ZarrWriter(targets["features"], shared=shared), grid=grid, label="features")
        return tuple(found)

    def _group_of(self, part: Part) -> str:
        return FEATURES if len(self.parts) == 1 else f"{FEATURES}/{part.name}"

    def _prepared(self, part: Part) -> xr.DataArray:
        """A prepared cube: as it was written, or laid over the scan."""
        return self._written(self._group_of(part), part.cube) if self.materialise else part.cube

    def _written(self, group: str, like: xr.DataArray) -> xr.DataArray:
        return self.store.read(group)["features"].rename(like.name).assign_attrs(like.attrs)

    def _learnt_from(self) -> tuple[xr.DataArray, Grid, tuple[Any, ...] | None]:
        """What is learnt from, how it is cut, and what the sweep that wrote it found, if that was just now."""
        if self.space is not None:
            fused = self._written(FUSED, self.cube)
            return fused, plan_grid(fused, *self.reducer.visitors(fused)), self._seen.pop(FUSED, None)
        (part,) = self.parts
        return self._prepared(part), self.grids[part.name], self._seen.pop(part.name, None)

    def _grid_of(self, features: xr.DataArray, grid: Grid) -> Grid:
        """How to cut features that were written: as they were, unless their chunks had to be other than the blocks."""
        _, shared = target_chunks(grid, features)
        return plan_grid(features) if shared and (self.materialise or self.space is not None) else grid

    def reduce(self) -> dict[str, Any]:
        """Fit the components; write every pixel's scores and what they leave of it in one sweep."""
        cube, grid, seen = self._learnt_from()
        if seen is None:  # the features were there already, or are not written
            visitors = self.reducer.visitors(cube)
            seen = sweep(cube, *visitors, grid=grid, label="moments") if visitors else ()
        self.reducer.settle(cube, seen, self.store.path / TRAINING)
        del seen  # it may be a matrix of features by features
        model = self.reducer.model
        templates = {"scores": model.transform(cube), "residual": model.residual(cube)}
        grid = self._grid_of(cube, grid)
        chunks, shared = target_chunks(grid, templates["scores"])
        self.store.write(REDUCE, model.variables())
        if self.space is not None:  # loadings as patterns and spectra, beside those over all features
            own = self.space.apart(model.variables()["components"], self.store.read(FUSED))
            self.store.write(REDUCE, xr.Dataset({f"components_{name}": loadings for name, loadings in own.items()}))
        model.save(self.store.path / REDUCE / "model")  # in full precision, for refold.PCA.load and the like
        targets = self.store.targets(REDUCE, templates, chunks)
        project = Once(model.project)
        counts = Histogram(SCORE_EDGES, per_feature=True, of=InDeviations(project, self.reducer.deviations))
        _, found = sweep(cube, ZarrWriter(targets, project, shared=shared), counts, grid=grid, label="scores")
        self.store.write(REDUCE, score_histogram(found))
        return self.reducer.note()

    def _scores(self) -> xr.DataArray:
        """What landmarks are drawn from: scores, or the features themselves where nothing reduces them."""
        return self.store.read(REDUCE)["scores"] if self.reducer.reduces else self._written(FUSED, self.cube)

    def embed(self) -> dict[str, Any]:
        """Choose landmarks and, unless told otherwise, find their latent coordinates."""
        outliers = PCA.load(self.store.path / REDUCE / "model").outliers_ if self.recipe.reduce.outliers else None
        landmarks = Landmarks(**self.recipe.section("landmarks"), always=outliers).fit(self._scores())
        found: dict[str, Any] = {
            "landmark_pixel": ("landmark", landmarks.pixels_),
            "landmark_scores": (("landmark", "component"), landmarks.rows_),
            "landmark_weight": ("landmark", landmarks.weights_),
        }
        if self.recipe.embed.method == "umap":
            latent = UMAP(**self.recipe.section("embed")).fit_transform(landmarks.rows_)
            found["landmark_embedding"] = (("landmark", "latent"), latent)
        self.store.write(EMBED, xr.Dataset(found))
        return {"landmarks": len(landmarks.pixels_)}

    def cluster(self) -> dict[str, Any]:
        """Cluster the landmarks; or, by k-means, every pixel's scores."""
        found = cluster_landmarks(self.recipe.cluster, self.store.read(EMBED).load(), self._scores())
        self.store.write(CLUSTER, found)
        return {"clusters": found.sizes["cluster"]}

    def labels(self) -> dict[str, Any]:
        """Give every pixel the answer of its nearest landmarks, on the scan's own grid."""
        kept = xr.merge([self.store.read(EMBED).load(), self.store.read(CLUSTER).load()])
        options = self.recipe.section("backproject")
        write_labels(self.store, BINNED if self.binned else LABELS, self._scores(), kept, **options)
        if self.binned:
            write_on_full_grid(self.store, BINNED, LABELS, self.full.coords)
        return {}

    def statistics(self) -> dict[str, Any]:
        """Mean and deviation of the signal of every cluster, in every cube."""
        labels = self.store.array(BINNED if self.binned else "", "labels")
        n_clusters = self.store.read(CLUSTER).sizes["cluster"]
        cubes = {part.name: (self._prepared(part), self.grids[part.name]) for part in self.parts}
        write_statistics(self.store, STATISTICS, cubes, labels, n_clusters)
        return {}

    def summary(self) -> dict[str, Any]:
        """Number of clusters, and the share of noise."""
        labels = self.store.read("")["labels"].data
        return {"clusters": int(labels.max().compute()) + 1, "noise": float((labels < 0).mean().compute())}
