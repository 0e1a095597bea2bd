"""What each stage of a run does: which rooms it calls, and which results it leaves in the store."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray as xr
from zarr.codecs import BloscCodec

from refold.backprojection import Refolder, backproject, cluster_statistics, to_full_grid
from refold.cluster import Assigned, Clusterer, NearestCentre, assign_all, assigned_to, clusterer_of
from refold.cube import n_features, navigation_shape
from refold.embed import LATENT_GAP, UMAP, Landmarks
from refold.engine import ClusterSums, Histogram, Once, ZarrWriter, current_settings, plan_grid, sweep
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
_CHUNK_BYTES = 16_000_000  # of arrays that are written: large enough to read fast, small enough to pick from


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
        fused = self.space.fit_transform({part.name: self._prepared(part) for part in self.parts}, self._seen)
        visitors = self.reducer.visitors(fused)
        self._seen = {FUSED: self._write_features(FUSED, fused, plan_grid(fused, *visitors), visitors)}
        self.store.write(FUSED, self.space.variables())
        return self.space.notes()

    def _write_features(self, group: str, cube: xr.DataArray, grid: Grid, visitors: tuple[Any, ...]) -> tuple[Any, ...]:
        """Write a cube, and return what the visitors found."""
        chunks, shared = _target_chunks(grid, cube)
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
        _, shared = _target_chunks(grid, features)
        return plan_grid(features) if shared and (self.materialise or self.space is not None) else grid

    def reduce(self) -> dict[str, Any]:
        """Fit the components; write every pixel's scores and what they leave of it in one sweep."""
        cube, grid, seen = self._learnt_from()
        if seen is None:  # the features were there already, or are not written
            visitors = self.reducer.visitors(cube)
            seen = sweep(cube, *visitors, grid=grid, label="moments") if visitors else ()
        self.reducer.settle(cube, seen)
        del seen  # it may be a matrix of features by features
        model = self.reducer.model
        templates = {"scores": model.transform(cube), "residual": model.residual(cube)}
        grid = self._grid_of(cube, grid)
        chunks, shared = _target_chunks(grid, templates["scores"])
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

    @property
    def _on_all_pixels(self) -> bool:
        """Whether clusters are sought among all pixels, and not among landmarks: k-means can, out of core."""
        return self.recipe.cluster.method == "kmeans" and self.recipe.embed.method == "none"

    def cluster(self) -> dict[str, Any]:
        """Cluster the landmarks; or, by k-means, every pixel's scores."""
        marks = self.store.read(EMBED).load()
        rows = marks.get("landmark_embedding", marks["landmark_scores"])
        weights = marks["landmark_weight"].values
        options = self.recipe.section("cluster")
        if options.get("cluster_selection_epsilon", 0.0) is None:
            options["cluster_selection_epsilon"] = LATENT_GAP if "landmark_embedding" in marks else 0.0
        model = clusterer_of(self.recipe.cluster.method, **options)
        found: dict[str, Any] = {}
        answer: Clusterer | Assigned
        if self._on_all_pixels:
            centres = np.asarray(model.fit(self._scores()).cluster_centers_, np.float64)
            found["centres"] = (("cluster", "component"), centres)
            answer = assigned_to(NearestCentre(centres), rows.values)
        else:
            fitted: Clusterer = model.fit(rows.values, weights=weights, **self._places(marks))
            answer = assign_all(fitted, weights) if self.recipe.cluster.soft_labels else fitted
        found |= {
            "landmark_label": ("landmark", answer.labels_),
            "landmark_probability": ("landmark", answer.probabilities_),
            "landmark_membership": (("landmark", "cluster"), answer.membership_),
        }
        self.store.write(CLUSTER, xr.Dataset(found))
        return {"clusters": answer.n_clusters_}

    def _places(self, marks: xr.Dataset) -> dict[str, Any]:
        """Where the landmarks lie on the grid, for a method that can ask which of them are neighbours there."""
        if self.recipe.cluster.method != "agglomerative":
            return {}
        return {"pixels": marks["landmark_pixel"].values, "grid": navigation_shape(self.cube)}

    def labels(self) -> dict[str, Any]:
        """Give every pixel the answer of its nearest landmarks, on the scan's own grid."""
        scores = self._scores()
        marks, answers = self._landmark_answers()
        grid = plan_grid(scores)
        chunks, shared = _target_chunks(grid, scores)
        group = BINNED if self.binned else LABELS
        templates = {str(name): like for name, like in backproject(scores, marks, **answers).items()}
        targets = self.store.targets(group, templates, chunks)
        centres = self.store.read(CLUSTER).get("centres")
        answer = Refolder(marks, **answers) if centres is None else NearestCentre(centres.values)
        sweep(scores, ZarrWriter(targets, answer, shared=shared), grid=grid, label="labels")
        if self.binned:
            self.store.write(LABELS, _evenly_chunked(to_full_grid(self.store.read(BINNED), self.full.coords)))
        return {}

    def _landmark_answers(self) -> tuple[Any, dict[str, Any]]:
        """The landmarks, and what was found on them, in the words of `refold.backproject`."""
        kept = xr.merge([self.store.read(EMBED).load(), self.store.read(CLUSTER).load()])
        marks = SimpleNamespace(pixels_=kept["landmark_pixel"].values, rows_=kept["landmark_scores"].values)
        names = {"labels": "label", "probability": "probability", "membership": "membership", "embedding": "embedding"}
        answers = {name: kept[f"landmark_{own}"].values for name, own in names.items() if f"landmark_{own}" in kept}
        return marks, {**answers, **self.recipe.section("backproject")}

    def statistics(self) -> dict[str, Any]:
        """Mean and deviation of the signal of every cluster, in every cube."""
        labels = self.store.array(BINNED if self.binned else "", "labels")
        n_clusters = self.store.read(CLUSTER).sizes["cluster"]
        for part in self.parts:
            # The same blocks as in every sweep over the cube, so that chunks are read as often as was planned.
            state_bytes = ClusterSums(labels, n_clusters, n_features=n_features(part.cube)).nbytes
            grid = self.grids[part.name]
            partitions = min(grid.n_partitions, current_settings().budget.max_partitions(state_bytes))
            found = cluster_statistics(
                self._prepared(part), labels, n_clusters, grid=replace(grid, n_partitions=partitions)
            )
            if len(self.parts) > 1:
                found = found.rename({name: f"{name}_{part.name}" for name in ("cluster_mean", "cluster_std")})
                found = found if part is self.parts[0] else found.drop_vars("cluster_size")
            self.store.write(STATISTICS, found)
        return {}

    def summary(self) -> dict[str, Any]:
        """Number of clusters, and the share of noise."""
        labels = self.store.read("")["labels"].data
        return {"clusters": int(labels.max().compute()) + 1, "noise": float((labels < 0).mean().compute())}


def _target_chunks(grid: Grid, like: xr.DataArray) -> tuple[tuple[int, ...], bool]:
    """Chunks of an array that blocks are written into, and whether blocks share them.

    They do not, unless edges of blocks that no chunk size divides would make for countless tiny chunks, and the blocks
    are written in this process, where they can wait for each other.
    """
    most = max(1, _CHUNK_BYTES // (n_features(like) * like.dtype.itemsize))
    chunks = grid.target_chunks(most)
    tiny = math.prod(chunks) < min(most, grid.block_pixels) // 8
    if tiny and current_settings().client is None:
        return grid.target_chunks(most, shared=True), True
    return chunks, False


def _evenly_chunked(answer: xr.Dataset) -> xr.Dataset:
    """The same in chunks of one size, as Zarr wants them: what comes from a coarser grid has chunks of any."""
    labels = answer["labels"]
    widest = max(variable.size for variable in answer.data_vars.values()) // labels.size
    side = max(1, int((_CHUNK_BYTES / (4 * max(1, widest))) ** (1 / labels.ndim)))
    return answer.chunk(dict.fromkeys(labels.dims, side))
