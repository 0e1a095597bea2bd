"""Lloyd's algorithm over the blocks of a cube: one sweep an iteration, whatever the number of starts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cluster.starting import Starting
from refold.cluster.steps import Assign, Doubles, Far, Farthest, Places, Start, Step
from refold.cube import n_features, n_pixels
from refold.engine import Moments, current_settings, plan_grid, sweep
from refold.engine.keeping import Kept
from refold.engine.visitor import AnyVisitor
from refold.errors import DataError, RefoldWarning

_NONE = np.empty((0, 2), np.float32)
_PIXEL_BYTES = 20  # of what is known of a pixel in one start: clusters before, while they are found, and after; bounds


@dataclass(frozen=True)
class Run:
    """One start on its way, after some whole iterations.

    Parameters
    ----------
    start : Start
        Centres for the next step, and the labels that the last one gave.
    totals, masses, counts : ndarray
        Of each cluster: weighted sum of its pixels, of their weights, number of those that have one.
    known : ndarray of float64, shape (cluster, feature), optional
        The centres that gave the labels.
    inertia : float
        Of these labels and centres; NaN where not all distances were measured.
    moved : tuple of int
        Pixels reassigned in each iteration.
    done : bool
        Whether the centres stand.
    """

    start: Start
    totals: Doubles
    masses: Doubles
    counts: npt.NDArray[np.int64]
    known: Doubles | None = None
    inertia: float = float("nan")
    moved: tuple[int, ...] = ()
    done: bool = False

    @property
    def whole(self) -> bool:
        """Whether the labels and their inertia are those of the centres."""
        return np.isfinite(self.inertia) and self.known is not None and np.array_equal(self.known, self.start.centres)

    def after(self, step: Step) -> Run:
        """What the changes of a step make of it."""
        labels = self.start.labels.copy()
        for at, found in step.pieces:
            labels[at] = found
        return replace(
            self,
            start=replace(self.start, labels=labels),
            totals=self.totals + step.totals,
            masses=self.masses + step.masses,
            counts=self.counts + step.counts,
            known=self.start.centres,
            inertia=step.inertia,
            moved=(*self.moved, step.moved),
        )

    def means(self, far: Far | None) -> Doubles:
        """Means of the clusters; an empty one gets a pixel that is far from its centre, as in scikit-learn."""
        totals, masses = self.totals.copy(), np.where(self.counts > 0, self.masses, 0.0)
        empty = np.flatnonzero(self.counts == 0)
        if far is not None and far.squares.size and far.squares[0] > 0:
            for place, cluster in enumerate(empty[: far.squares.size]):
                row, weight, old = far.rows[place] * far.weights[place], far.weights[place], far.labels[place]
                totals[old] -= row
                masses[old] -= weight
                totals[cluster], masses[cluster] = row, weight
        filled = masses > 0
        means: Doubles = totals / np.where(filled, masses, 1.0)[:, None]
        means[~filled] = means[int(masses.argmax())]
        return means

    def back(self) -> Run:
        """The same with the centres that gave the labels."""
        assert self.known is not None
        return replace(self, start=replace(self.start, centres=self.known))

    def moved_to(self, means: Doubles, tolerance: float, *, bounded: bool) -> Run:
        """The same with new centres: done where they stand, or where no pixel was reassigned."""
        assert self.known is not None
        stands = len(self.moved) > 1 and self.moved[-1] == 0
        done = stands or float(((means - self.known) ** 2).sum()) <= tolerance
        ways = _ways(self.known, means) if bounded else None
        return replace(self, start=replace(self.start, centres=means, ways=ways), done=done)


def _ways(before: Doubles, after: Doubles) -> Doubles:
    """How far each centre moved, how far the farthest of the others, and half its distance to the next one."""
    from refold.cluster.kernels import squared_distances

    k = len(after)
    ways, apart = np.zeros((3, k)), np.empty((k, k))
    ways[0] = np.sqrt(((after - before) ** 2).sum(axis=1)) * (1 + 1e-9)
    for cluster in range(k):
        ways[1, cluster] = np.delete(ways[0], cluster).max(initial=0.0)
    squared_distances(after, after, apart)
    np.fill_diagonal(apart, np.inf)
    ways[2] = np.sqrt(apart.min(axis=1)) * (0.5 - 1e-9)
    return ways


class _Room:
    """What the plan counts for the states of steps."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes


@dataclass
class Lloyd:
    """Lloyd's algorithm for one cube.

    Parameters
    ----------
    cube : xarray.DataArray
        Lazy or in memory, navigation dims first.
    n_clusters, n_starts : int
        Clusters, and starts that share the sweeps.
    max_iter : int
        Iterations at most.
    tol : float
        Squared movement of the centres, relative to the mean variance of the features, below which they stand.
    weights : ndarray of float64, optional
        What each pixel counts, on the scan's grid.
    keep : bool
        Whether to keep blocks in memory.
    rows : int
        Rows that a sweep holds for each start, if more than one for each cluster: those drawn to start from.

    Notes
    -----
    Blocks are kept in memory, as many as half of the budget holds. If that is all of them, each pixel has bounds of the
    distances to its own and to all other centres (Hamerly 2010, SIAM SDM), and is looked at only where these leave a
    doubt. Partitions that run on a client keep nothing.
    """

    cube: xr.DataArray
    n_clusters: int
    n_starts: int
    max_iter: int
    tol: float
    weights: Doubles | None = None
    keep: bool = True
    rows: int = 0

    def __post_init__(self) -> None:
        setup = current_settings()
        memory, pixels, features = setup.budget.memory, n_pixels(self.cube), n_features(self.cube)
        share = memory // 2 if self.keep and setup.client is None else 0
        states: list[Any] = [
            Moments(n_features=features),
            _Room(8 * self.n_starts * max(self.n_clusters, self.rows) * (features + 2)),
        ]
        grid = plan_grid(self.cube, *states, memory=memory - share, workers=setup.workers, client=setup.client)
        self.kept = Kept(self.cube, grid, max(0, share - pixels * self.n_starts * _PIXEL_BYTES))
        self.resident = share > 0 and self.kept.whole
        self.places = Places(grid)
        self.tolerance = 0.0

    def look(self, visitor: AnyVisitor, label: str = "k-means starts") -> Any:
        """Make a sweep for one visitor, and give its result."""
        return sweep(self.cube, visitor, kept=self.kept, label=label)[0]

    def run(self, starts: Sequence[Doubles] | Starting) -> Run:
        """Run every start to its end, and give the best.

        Parameters
        ----------
        starts : sequence of ndarray of float64, shape (cluster, feature); or Starting
            Where to start, or how to find it.

        Returns
        -------
        Run
            That of least inertia, the first of equal ones. Its labels, centres and inertia fit each other.

        Raises
        ------
        DataError
            If there are fewer valid pixels than clusters.
        """
        given = starts.find(self.look) if isinstance(starts, Starting) else starts
        runs = [self._begin(centres) for centres in given if len(centres)]
        if not runs:
            raise DataError("no pixel with finite values and a weight", "at least one", "look at the mask")
        interrupted = False
        try:
            for iteration in range(self.max_iter):
                runs = self._iterate(runs, iteration)
                if all(run.done for run in runs):
                    break
        except KeyboardInterrupt:
            if runs[0].known is None:
                raise  # there is no whole iteration yet
            interrupted = True
            runs = [replace(run, done=False) for run in runs]
            count = max(len(run.moved) for run in runs)
            warnings.warn(f"k-means was interrupted after {count} whole iterations", RefoldWarning, stacklevel=4)
        return min(self._fitting(runs, interrupted), key=lambda run: run.inertia)

    def label(self, centres: Doubles) -> Run:
        """Labels and inertia of given centres, in one sweep."""
        run = self._begin(centres)
        return _fitted(run, self.look(Assign([run.start], self.places, self.weights), "k-means labels")[0])

    def _begin(self, centres: Doubles) -> Run:
        bounds = np.empty((self.places.n_pixels if self.resident else 0, 2), np.float32)
        start = Start(centres, np.full(self.places.n_pixels, -1, np.int32), bounds)
        return Run(start, np.zeros(centres.shape), np.zeros(len(centres)), np.zeros(len(centres), np.int64))

    def _iterate(self, runs: list[Run], iteration: int) -> list[Run]:
        """One sweep: clusters of all pixels, then means of all clusters."""
        moving = [run for run in runs if not run.done]
        visitors: list[AnyVisitor] = [Assign([run.start for run in moving], self.places, self.weights)]
        if iteration == 0 and self.tol > 0:
            visitors.append(Moments(n_features=n_features(self.cube)))
        told = f", {sum(run.moved[-1] for run in moving)} moved" if iteration else ""
        steps, *moments = sweep(self.cube, *visitors, kept=self.kept, label=f"k-means {iteration + 1}{told}")
        if iteration == 0:
            self._check(steps[0])
            self.tolerance = self.tol * float(moments[0].variance.mean()) if moments else 0.0
        taken = [run.after(step) for run, step in zip(moving, steps, strict=True)]
        means = [run.means(far) for run, far in zip(taken, self._far(taken), strict=True)]
        advanced = iter(
            run.moved_to(centres, self.tolerance, bounded=self.resident)
            for run, centres in zip(taken, means, strict=True)
        )
        return [run if run.done else next(advanced) for run in runs]

    def _check(self, step: Step) -> None:
        """Refuse what has fewer pixels than clusters."""
        valid, wanted = step.counts.sum(), self.n_clusters
        if valid < wanted:
            raise DataError(f"{valid} valid pixels with a weight", f"at least n_clusters={wanted}", "ask for fewer")

    def _far(self, runs: list[Run]) -> list[Far | None]:
        """For runs with empty clusters, by one more sweep, pixels far from the centres that gave them their labels."""
        empty = {index: int((run.counts == 0).sum()) for index, run in enumerate(runs) if (run.counts == 0).any()}
        if not empty:
            return [None] * len(runs)
        starts = [replace(runs[index].start, bounds=_NONE) for index in empty]
        found = iter(self.look(Farthest(starts, list(empty.values()), self.places, self.weights), "empty clusters"))
        return [next(found) if index in empty else None for index in range(len(runs))]

    def _fitting(self, runs: list[Run], interrupted: bool) -> list[Run]:
        """Labels and inertia of the final centres, by one more sweep where they are not known."""
        if interrupted and not self.resident:  # no further sweep is wanted: the centres that gave the labels
            return [run.back() for run in runs]
        wanted = [run for run in runs if not run.whole]
        if not wanted:
            return runs
        starts = [replace(run.start, bounds=_NONE, ways=None) for run in wanted]
        steps = iter(self.look(Assign(starts, self.places, self.weights), "k-means ends"))
        return [run if run.whole else _fitted(run, next(steps)) for run in runs]


def _fitted(run: Run, step: Step) -> Run:
    """A run with the labels that its centres give, which is no iteration of its own."""
    return replace(run.after(step), moved=run.moved)
