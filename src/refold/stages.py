"""What each stage of a run does: which rooms it calls, and which results it leaves in the store."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray as xr
from zarr.codecs import BloscCodec

from refold.backprojection import Refolder, backproject, cluster_statistics, to_full_grid
from refold.cluster import HDBSCAN
from refold.cube import n_features, n_pixels, navigation_dims
from refold.embed import LATENT_GAP, UMAP, Landmarks
from refold.engine import ClusterSums, Histogram, Once, ZarrWriter, current_settings, plan_grid, sweep, working_bytes
from refold.engine.layout import summing_bytes
from refold.engine.machine import machine_rates
from refold.engine.reading import CubeReader
from refold.planning import Grid
from refold.planning.advice import convert_command, on_rereading
from refold.planning.forecast import Forecast, Sizes, forecast
from refold.prepare import clip, crop, log1p, mask, normalise, rebin
from refold.prepare.fusing import say_passes
from refold.recipe import Prepare, Recipe
from refold.reduce import PCA
from refold.reduce.deviations import SCORE_EDGES, InDeviations, score_histogram
from refold.store import RunStore, identify

# Groups of the store. The last two are moved into its root when they are whole.
FEATURES, REDUCE, EMBED, CLUSTER = "stages/features", "stages/reduce", "stages/embed", "stages/cluster"
BINNED = "stages/binned"  # the answer on the grid where it was found, if that is coarser than the scan's
LABELS, STATISTICS = "stages/labels", "stages/statistics"
_CHUNK_BYTES = 16_000_000  # of arrays that are written: large enough to read fast, small enough to pick from


def prepare(raw: xr.DataArray, options: Prepare) -> tuple[xr.DataArray, xr.DataArray]:
    """Lay the lazy steps of a recipe over a scan.

    Parameters
    ----------
    raw : xarray.DataArray
        The scan.
    options : Prepare
        Steps.

    Returns
    -------
    full, cube : xarray.DataArray
        What is left after cropping, whose every pixel gets a label; and what is learnt from.
    """
    full = cube = crop(raw, options.crop) if options.crop else raw
    if options.rebin:
        cube = rebin(cube, options.rebin, how=options.rebin_how)
    if options.clip:
        cube = clip(cube, options.clip.get("min"), options.clip.get("max"))
    if options.mask:
        cube = mask(cube, **options.mask)
    if options.log1p:
        cube = log1p(cube)
    if options.normalise:
        cube = normalise(cube, options.normalise)
    return full, cube


class Work:
    """One run being done: the scan, the recipe, and a method for each stage.

    Parameters
    ----------
    raw : xarray.DataArray
        The scan.
    recipe : Recipe
        What to do.
    """

    def __init__(self, raw: xr.DataArray, recipe: Recipe) -> None:
        self.raw = raw
        self.recipe = recipe
        self.full, self.cube = prepare(raw, recipe.prepare)
        self.pca = PCA(**recipe.section("reduce"))
        self.store: RunStore = RunStore(Path())  # none, until the run begins; planning needs none
        self._first: Any = None

    # --- what the plan needs to know ----------------------------------------------------------------------------------

    @cached_property
    def materialise(self) -> bool:
        """Whether the prepared features are written.

        By default they are where they are anything else than the scan itself; where the scan lies in a vendor's file,
        which every sweep would have to decode again, often from its beginning; and where the solver makes as many
        sweeps as the data ask for, so that how often the scan is read is known beforehand: once.
        """
        asked = self.recipe.resources.features
        if asked is not None:
            return asked
        return self.cube is not self.raw or "reader" in self.raw.attrs or self.pca.choose(self.cube).name == "subspace"

    @property
    def binned(self) -> bool:
        """Whether the answer is found on a coarser navigation grid than the scan's."""
        return any(self.cube.sizes[dim] != self.full.sizes[dim] for dim in navigation_dims(self.full))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Which scan this is."""
        return identify(self.raw)

    @cached_property
    def grid(self) -> Grid:
        """How the prepared cube is cut."""
        return plan_grid(self.cube, self.pca.first_visitor(self.cube))

    @cached_property
    def raw_chunks(self) -> int:
        """Chunks of the scan as it is stored."""
        return int(np.prod([len(sizes) for sizes in self.raw.chunks])) if self.raw.chunks is not None else 0

    def reads_scan(self, stage: str) -> bool:
        """Whether a stage reads the scan itself, and not what an earlier one wrote."""
        return stage == "features" or (stage in ("reduce", "statistics") and not self.materialise)

    def forecast(self, reused: frozenset[str] = frozenset()) -> Forecast:
        """What the run will cost; computes nothing."""
        choice = self.pca.choose(self.cube)
        budget = current_settings().budget
        pixels, features = n_pixels(self.cube), n_features(self.cube)
        count = self.recipe.reduce.n_components
        sizes = Sizes(
            n_pixels=pixels,
            n_features=features,
            raw_bytes=self.raw.nbytes,
            raw_chunks=self.raw_chunks,
            chunk_reads=CubeReader(self.cube, self.grid).reads,
            feature_bytes=self.cube.nbytes,
            block_memory=budget.workers * working_bytes(self.cube, self.grid),
            state_bytes=summing_bytes((self.pca.first_visitor(self.cube),), self.grid.n_partitions, budget.workers),
            n_components=count if isinstance(count, int) else min(50, features),
            n_landmarks=self.recipe.landmarks.count(pixels),
            n_latent=self.recipe.embed.n_components if self.recipe.embed.method == "umap" else 0,
            materialise=self.materialise,
            reduce_sweeps=choice.sweeps,
            flops=choice.flops,
            tasks_per_sweep=2 * self.grid.n_partitions - 1,
            workers=budget.workers,
            full_pixels=n_pixels(self.full),
            rates=machine_rates(),
        )
        found = forecast(sizes, budget.memory, reused)
        prepared = say_passes(self.cube)
        return replace(found, notes=((prepared,) if prepared else ()) + self._notes(found, reused))

    def _notes(self, found: Forecast, reused: frozenset[str]) -> tuple[str, ...]:
        """What the run could do without: chunks decoded more than once in a sweep."""
        sizes = found.sizes
        if not self.grid.splits_chunks and sizes.chunk_reads <= sizes.raw_chunks:
            return ()
        once = CubeReader(self.cube, Grid(tuple((0, size) for size in self.grid.shape))).reads
        lean = forecast(replace(sizes, chunk_reads=once), found.memory_allowed, reused)
        if found.bytes_read == lean.bytes_read:
            return ()
        attrs, source = self.raw.attrs, self.recipe.source.to_dict()
        if "path" not in source and "source" in attrs:
            source = {"path": attrs["source"], "signal": attrs["signal"]}
        command = convert_command(source, self.recipe.resources.memory) if "path" in source else None
        more = (found.bytes_read - lean.bytes_read, found.seconds - lean.seconds)
        return (on_rereading(sizes.chunk_reads / once, *more, command),)

    # --- the stages, in their order -----------------------------------------------------------------------------------

    def features(self) -> dict[str, Any]:
        """Read the scan once: write its features, and take the sums that the reduction starts from."""
        chunks, shared = _target_chunks(self.grid, self.cube)
        compressor = BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle")
        targets = self.store.targets(FEATURES, {"features": self.cube}, chunks, compressor)
        visitors = (self.pca.first_visitor(self.cube), ZarrWriter(targets["features"], shared=shared))
        self._first, _ = sweep(self.cube, *visitors, grid=self.grid, label="features")
        return {}

    @cached_property
    def _features(self) -> xr.DataArray:
        """What is learnt from: the features as they were written, or the scan itself."""
        if not self.materialise:
            return self.cube
        return self.store.read(FEATURES)["features"].rename(self.cube.name).assign_attrs(self.cube.attrs)

    def _grid_of(self, features: xr.DataArray) -> Grid:
        """How to cut the features: as the scan was, unless their chunks had to be other than its blocks."""
        _, shared = _target_chunks(self.grid, self.cube)
        return plan_grid(features) if shared and self.materialise else self.grid

    def reduce(self) -> dict[str, Any]:
        """Fit the components; write every pixel's scores and what they leave of it in one sweep."""
        cube = self._features
        if self._first is None:  # the features were there already, or are not written
            (self._first,) = sweep(cube, self.pca.first_visitor(cube), grid=self.grid, label="moments")
        self.pca.fit(cube, moments=self._first)
        self._first = None
        templates = {"scores": self.pca.transform(cube), "residual": self.pca.residual(cube)}
        grid = self._grid_of(cube)
        chunks, shared = _target_chunks(grid, templates["scores"])
        self.store.write(REDUCE, self.pca.variables())
        self.pca.save(self.store.path / REDUCE / "model")  # in full precision, for refold.PCA.load
        targets = self.store.targets(REDUCE, templates, chunks)
        project = Once(self.pca.project)
        deviations = np.sqrt(self.pca.explained_variance_)
        counts = Histogram(SCORE_EDGES, per_feature=True, of=InDeviations(project, deviations))
        _, found = sweep(cube, ZarrWriter(targets, project, shared=shared), counts, grid=grid, label="scores")
        self.store.write(REDUCE, score_histogram(found))
        return {
            "solver": self.pca.solver_,
            "explained": float(self.pca.explained_variance_ratio_.sum()),
            "converged": int(self.pca.converged_.sum()),
        }

    def embed(self) -> dict[str, Any]:
        """Choose landmarks and, unless told otherwise, find their latent coordinates."""
        landmarks = Landmarks(**self.recipe.section("landmarks")).fit(self.store.read(REDUCE)["scores"])
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
        """Cluster the landmarks."""
        marks = self.store.read(EMBED).load()
        rows = marks.get("landmark_embedding", marks["landmark_scores"])
        options = self.recipe.section("cluster")
        if options["cluster_selection_epsilon"] is None:
            options["cluster_selection_epsilon"] = LATENT_GAP if "landmark_embedding" in marks else 0.0
        model = HDBSCAN(**options).fit(rows.values, weights=marks["landmark_weight"].values)
        found = {
            "landmark_label": ("landmark", model.labels_),
            "landmark_probability": ("landmark", model.probabilities_),
            "landmark_membership": (("landmark", "cluster"), model.membership_),
        }
        self.store.write(CLUSTER, xr.Dataset(found))
        return {"clusters": model.n_clusters_}

    def labels(self) -> dict[str, Any]:
        """Give every pixel the answer of its nearest landmarks, on the scan's own grid."""
        scores = self.store.read(REDUCE)["scores"]
        marks, answers = self._landmark_answers()
        grid = plan_grid(scores)
        chunks, shared = _target_chunks(grid, scores)
        group = BINNED if self.binned else LABELS
        templates = {str(name): like for name, like in backproject(scores, marks, **answers).items()}
        targets = self.store.targets(group, templates, chunks)
        sweep(scores, ZarrWriter(targets, Refolder(marks, **answers), shared=shared), grid=grid, label="labels")
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
        """Mean and deviation of the signal of every cluster."""
        labels = self.store.array(BINNED if self.binned else "", "labels")
        n_clusters = self.store.read(CLUSTER).sizes["cluster"]
        # The same blocks as in every sweep over the features, so that chunks are read as often as was planned.
        state_bytes = ClusterSums(labels, n_clusters, n_features=n_features(self.cube)).nbytes
        partitions = min(self.grid.n_partitions, current_settings().budget.max_partitions(state_bytes))
        grid = replace(self.grid, n_partitions=partitions)
        self.store.write(STATISTICS, cluster_statistics(self._features, labels, n_clusters, grid=grid))
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
