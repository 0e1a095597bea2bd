"""Repeats of a run's embedding and clustering: other seeds, other landmarks, fewer counts; in shared sweeps."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.answers import clusterer_for, places_for
from refold.cluster import Clusterer, assign_all
from refold.cube import n_features, navigation_shape
from refold.embed import UMAP, Landmarks, draw_together
from refold.embed.drawing import Drawn, Picked
from refold.engine import Block, Once, Where, sweep
from refold.recipe import Recipe
from refold.trust.finished import FinishedRun, Marks

SHARE = 0.8  # of the pixels, where the run took all of them as landmarks and another draw would be the same

Labels = npt.NDArray[np.int32]
Steps = Generator[tuple[Any, ...], tuple[Any, ...], None]


@dataclass
class Repeat:
    """One more clustering of the scan.

    Parameters
    ----------
    marks : Marks
        Its landmarks.
    labels : ndarray of int32, shape (landmarks,)
        Their clusters.
    common : ndarray of float32, shape (landmarks of the run, component)
        Where the run's landmarks lie for it; NaN where they are not valid.
    """

    marks: Marks
    labels: Labels
    common: npt.NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """Picks one copy of the scores out of a cube that holds several; picklable.

    Parameters
    ----------
    at : int, optional
        Which; None where there is one only.
    """

    at: int | None = None

    def __call__(self, block: Block, where: Where) -> Block:
        """The block as that copy alone would give it."""
        return block if self.at is None else Block(block.data[..., self.at, :], block.n_navigation)

    def of(self, cube: xr.DataArray) -> xr.DataArray:
        """The copy as a cube, lazily."""
        return cube if self.at is None else cube.isel(copy=self.at, drop=True)


class Seeing:
    """A visitor that is shown one copy of the scores.

    Parameters
    ----------
    visitor : Visitor
        Who is shown it.
    view : callable
        A `View`, shared by means of `Once` with the others that look at the same copy.
    """

    def __init__(self, visitor: Any, view: Once) -> None:
        self.visitor = visitor
        self.view = view
        self.nbytes = getattr(visitor, "nbytes", 0)
        self.start, self.merge, self.finish = visitor.start, visitor.merge, visitor.finish

    def visit(self, state: Any, block: Block, where: Where) -> None:
        """Show the visitor its copy."""
        self.visitor.visit(state, self.view(block, where), where)


class Picking:
    """The same landmarks again, as they lie in another copy of the scores.

    Parameters
    ----------
    marks : Marks
        Of the run.
    """

    def __init__(self, marks: Marks) -> None:
        self.marks = marks

    def steps(self, scores: xr.DataArray) -> Steps:
        """See `Landmarks.steps`."""
        (found,) = yield (Picked(self.marks.pixels_, n_features(scores)),)
        self.found: Drawn = found

    def again(self) -> Marks:
        """Those that are valid in this copy."""
        place = np.searchsorted(self.marks.pixels_, self.found.pixels)
        return Marks(self.found.pixels, self.found.rows, self.marks.weights_[place])

    def rows(self) -> npt.NDArray[np.float32]:
        """Where each of them lies; NaN where it is not valid."""
        rows = np.full(self.marks.rows_.shape, np.nan, np.float32)
        rows[np.searchsorted(self.marks.pixels_, self.found.pixels)] = self.found.rows
        return rows


def make_repeats(
    run: FinishedRun, cube: xr.DataArray, views: Sequence[View], seeds: Sequence[int], vary: frozenset[str]
) -> list[Repeat]:
    """Choose the landmarks of every repeat in shared sweeps, and cluster them.

    Parameters
    ----------
    run : FinishedRun
        What is repeated.
    cube : xarray.DataArray
        The scores; or several copies of them, along a dim ``copy``.
    views : sequence of View
        Which copy each repeat looks at.
    seeds : sequence of int
        One for each repeat.
    vary : frozenset of str
        ``"landmarks"`` where each repeat draws its own, ``"seed"`` where it lays them out by a seed of its own.

    Returns
    -------
    list of Repeat
        In the order of the seeds.
    """
    sections = run.recipe.section("landmarks")
    sections["n"] = _number(run)
    draws = [Landmarks(**{**sections, "random_state": seed}) for seed in seeds] if "landmarks" in vary else []
    picks = [Picking(run.marks) for view in views if view.at is not None]
    lookers = [*zip(draws, views[: len(draws)], strict=True), *zip(picks, views[: len(picks)], strict=True)]
    _draw(cube, [maker for maker, _ in lookers], [view for _, view in lookers])
    repeats = []
    for at, seed in enumerate(seeds):
        known = picks[at].again() if picks else run.marks
        marks = Marks(draws[at].pixels_, draws[at].rows_, draws[at].weights_) if draws else known
        labels = cluster(run.recipe, marks, navigation_shape(run.scores), seed if "seed" in vary else None)
        repeats.append(Repeat(marks, labels, picks[at].rows() if picks else run.marks.rows_))
    return repeats


def _number(run: FinishedRun) -> int | float | None:
    """Landmarks of a repeat: as many as the recipe says, but fewer than all pixels, or every draw would be the same."""
    everything = (run.marks.weights_ == 1).all()
    return max(1, math.ceil(SHARE * run.marks.pixels_.size)) if everything else run.recipe.landmarks.n


def _draw(cube: xr.DataArray, makers: Sequence[Any], views: Sequence[View]) -> None:
    """Let all of them see the cube in the same sweeps."""
    if not makers:
        return
    shared = {view: Once(view) for view in views}

    def traverse(wanted: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        seeing = [
            Seeing(visitor, shared[view]) for view, visitors in zip(views, wanted, strict=True) for visitor in visitors
        ]
        results = iter(sweep(cube, *seeing, label="landmarks"))
        return [tuple(next(results) for _ in visitors) for visitors in wanted]

    draw_together([maker.steps(view.of(cube)) for maker, view in zip(makers, views, strict=True)], traverse)


def cluster(recipe: Recipe, marks: Marks, grid: Sequence[int], seed: int | None) -> Labels:
    """Lay landmarks out and cluster them, as the recipe says.

    Parameters
    ----------
    recipe : Recipe
        Of the run.
    marks : Marks
        Landmarks.
    grid : sequence of int
        Navigation shape of the scores.
    seed : int, optional
        In place of the recipe's.

    Returns
    -------
    ndarray of int32, shape (landmarks,)
        Clusters; -1 is noise.
    """
    rows, embedded = marks.rows_, recipe.embed.method == "umap"
    if embedded:
        options = recipe.section("embed")
        rows = UMAP(**(options if seed is None else {**options, "random_state": seed})).fit_transform(rows)
    section = recipe.cluster if seed is None else replace(recipe.cluster, random_state=seed)
    places = places_for(section, marks.pixels_, grid)
    model: Clusterer = clusterer_for(section, embedded=embedded).fit(rows, weights=marks.weights_, **places)
    found = assign_all(model, marks.weights_) if recipe.cluster.soft_labels else model
    return np.asarray(found.labels_, np.int32)


def uses_a_seed(recipe: Recipe) -> bool:
    """Whether laying landmarks out and clustering them depends on a seed at all."""
    return recipe.embed.method == "umap" or "random_state" in recipe.section("cluster")
