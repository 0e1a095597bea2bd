"""How far a run's labels can be trusted: the same again, with other seeds, other landmarks and fewer counts."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import xarray as xr

from refold.backprojection import Refolder
from refold.cube import n_pixels, navigation_dims, signal_dims
from refold.engine import Once, ZarrWriter, current_settings, plan_grid, settings, sweep
from refold.engine.display import progress_for_terminal
from refold.engine.progress import Progress
from refold.engine.resident import peak_memory
from refold.errors import ParameterError
from refold.planning import Grid
from refold.store import StageRecord, open_run, stage_fingerprint
from refold.trust.consensus import agree
from refold.trust.finished import FinishedRun
from refold.trust.matching import PairTables, match, tabulate
from refold.trust.polling import Agreeing, Poll, Verdict, Voter
from refold.trust.repeating import Repeat, View, make_repeats, uses_a_seed
from refold.trust.steadiness import Stability, tables_to_dataset
from refold.trust.thinning import ThinnedScores

_STAGE = "stability"
_GROUP, _COPIES = "stages/stability", "stages/thinned"
_CHUNK_BYTES = 16_000_000
_VARY = ("seed", "landmarks")
_PACKAGES = ("refold", "umap-learn", "hdbscan", "numba")


def stability(
    run: Any,
    repeats: int = 10,
    *,
    vary: Collection[str] = _VARY,
    dose: float | None = None,
    random_state: int = 0,
    scan: xr.DataArray | None = None,
    memory: int | str | None = None,
    workers: int | None = None,
    client: Any = None,
    progress: Progress | None = None,
) -> Stability:
    """Repeat a run's embedding and clustering, and say for every pixel how many repeats agree with its label.

    Parameters
    ----------
    run : path-like or xarray.Dataset
        A finished run: its store, or what `refold.run` or `refold.open_run` gave.
    repeats : int
        How many.
    vary : collection of {"seed", "landmarks"}
        What is another in each repeat: the seed of UMAP and of the clustering, and the draw of landmarks. Where the run
        took all pixels as landmarks, a repeat draws four fifths of them.
    dose : float, optional
        Also keep each count of the scan with this probability only, anew in each repeat: what would have come out of a
        measurement at that share of the dose.
    random_state : int
        Seed of the seeds.
    scan : xarray.DataArray, optional
        What the run learnt from; needed for `dose` only, and only where the run does not keep its features.
    memory, workers, client, progress
        As for `refold.run`.

    Returns
    -------
    Stability
        Maps and numbers; ``print`` it. They are kept in the run, where `refold.open_run` finds ``stability``,
        ``consensus`` and ``consensus_probability`` on the scan's own grid. Asked again for the same, it is read from
        there.

    Raises
    ------
    StoreError
        If the run is not there, or not finished.
    ParameterError
        If nothing would vary, or an option has a value it cannot have.
    DataError
        If `dose` is given, and the run did not learn from counts.

    Notes
    -----
    Labels of a repeat are matched to the run's by the Hungarian method, on the run's landmarks and what they stand for.
    Then one sweep asks every repeat for every pixel, and keeps counts only: a hundred repeats take as many sweeps as
    one. ``docs/design/trust.md`` says how it is done, and what the numbers mean.

    Examples
    --------
    >>> import tempfile, refold
    >>> phantom = refold.synthetic.four_d_stem((24, 24), detector=(16, 16), seed=0)
    >>> place = tempfile.mkdtemp() + "/phantom.run.zarr"
    >>> run = refold.run(phantom.cube, store=place, n_components=6, embed="none", report=False)
    >>> found = stability(run, repeats=3)
    >>> found.maps.stability.dims, found.ari.shape
    (('y', 'x'), (3,))
    """
    if isinstance(run, xr.Dataset) and "clustering" in run.attrs:
        raise ParameterError(
            f"the clustering {run.attrs['clustering']!r} that was added to a run",
            "a run with its own clustering, which is what is repeated",
            "open the run without a clustering, or make one whose recipe clusters so",
        )
    finished = FinishedRun(run)
    varied = _checked(finished, repeats, vary, dose)
    asked = {"repeats": repeats, "vary": sorted(varied), "dose": dose, "random_state": random_state}
    fingerprint = stage_fingerprint(_STAGE, asked, finished.records["labels"].fingerprint, _PACKAGES)
    progress = progress if progress is not None else progress_for_terminal()
    with settings(memory=memory, workers=workers, client=client, progress=progress):
        known = finished.records.get(_STAGE)
        if known is None or known.fingerprint != fingerprint:
            _repeat(finished, asked, varied, scan, fingerprint)
    return Stability.of(open_run(finished.store.path))


def _checked(run: FinishedRun, repeats: int, vary: Collection[str], dose: float | None) -> frozenset[str]:
    """What is varied, after a look at whether anything is."""
    named = frozenset([vary] if isinstance(vary, str) else vary)
    if named - set(_VARY):
        raise ParameterError(f"vary={sorted(named)}", f"some of {_VARY}", "leave vary out for both")
    if repeats < 1:
        raise ParameterError(f"repeats={repeats}", "1 or more", "10 tell much, 30 tell it to a few hundredths")
    if dose is not None and not 0 < dose < 1:
        raise ParameterError(f"dose={dose}", "a share between 0 and 1", "try 0.5")
    varied = named if uses_a_seed(run.recipe) else named - {"seed"}
    if dose is None and not varied:
        raise ParameterError(
            f"vary={sorted(named)}, on which nothing in this run depends",
            "repeats that can differ",
            "let the landmarks vary as well, or give a dose",
        )
    return varied


def _repeat(
    run: FinishedRun, asked: dict[str, Any], varied: frozenset[str], scan: xr.DataArray | None, fingerprint: str
) -> None:
    """Make the repeats, ask them, and write down what they say; finished last."""
    tally = current_settings().progress.tally
    sweeps, tasks, began = tally.sweeps, tally.tasks, time.perf_counter()
    run.store.forget(_STAGE)
    seeds = np.random.SeedSequence(asked["random_state"]).generate_state(asked["repeats"]).tolist()
    dose = asked["dose"]
    cube = run.scores if dose is None else _thinned(run, run.counts(scan), dose, seeds)
    views = [View() if dose is None else View(at) for at in range(1 + len(seeds))]
    repeats = make_repeats(run, cube, views[1:], seeds, varied)
    found = _ask(run, cube, views, repeats)
    run.store.write(_GROUP, found)
    record = StageRecord(
        fingerprint=fingerprint,
        seconds=time.perf_counter() - began,
        sweeps=tally.sweeps - sweeps,
        tasks=tally.tasks - tasks,
        bytes_written=run.store.size_of([_GROUP]),
        peak_memory=peak_memory(),
        notes=asked,
        follows="labels",
    )
    run.store.finish(_STAGE, record, [_GROUP])
    run.store.clear()  # the thinned copies


def _thinned(run: FinishedRun, counts: xr.DataArray, dose: float, seeds: Sequence[int]) -> xr.DataArray:
    """Write the scores of every thinned copy, the run's own before them, in one sweep over the counts."""
    copies = np.arange(1 + len(seeds))
    place = len(navigation_dims(run.scores))
    template = run.scores.expand_dims(copy=copies, axis=place)
    template = template.assign_coords(copy=("copy", copies, {"role": "signal"}))
    grid = plan_grid(counts)
    chunks, shared = _chunks(grid, 4 * template.size // n_pixels(run.scores))
    target = run.store.targets(_COPIES, {"copies": template}, chunks)["copies"]
    sweep(
        counts, ZarrWriter(target, ThinnedScores(run.model(), dose, seeds), shared=shared), grid=grid, label="thinning"
    )
    return run.store.read(_COPIES)["copies"]


def _ask(run: FinishedRun, cube: xr.DataArray, views: Sequence[View], repeats: Sequence[Repeat]) -> xr.Dataset:
    """Ask all repeats for all pixels in one sweep; write the maps, and return the tables."""
    neighbours = run.recipe.backproject.neighbours
    shown = [Once(view) for view in views] if views[0].at is not None else [Once(views[0])] * len(views)
    voters, votes = [], []
    for view, repeat in zip(shown[1:], repeats, strict=True):
        refolder = Refolder(repeat.marks, labels=repeat.labels, neighbours=neighbours)
        said = refolder.answer(repeat.common, run.marks.pixels_)["labels"]
        n = int(repeat.labels.max(initial=-1)) + 1
        names = match(tabulate(run.mark_labels, said, run.n_clusters, n, run.marks.weights_))
        voters.append(Voter(refolder, view, names))
        votes.append(said)
    agreed = agree(np.stack(votes), run.marks.weights_, named_as=run.mark_labels)
    consensus = Refolder(run.marks, labels=agreed.labels, probability=agreed.probability, neighbours=neighbours)
    poll = Once(Poll(run.labels, voters))
    counted = PairTables([run.n_clusters, *(1 + int(voter.names.max(initial=-1)) for voter in voters)], poll)
    agreeing = Agreeing(poll, len(voters))
    grid = plan_grid(cube, counted, agreeing)
    like = run.scores.isel(dict.fromkeys(signal_dims(run.scores), 0), drop=True)
    templates = {
        "stability": like.astype(np.float32),
        "consensus": like.astype(np.int32),
        "consensus_probability": like.astype(np.float32),
    }
    chunks, shared = _chunks(grid, 4)
    targets = run.store.targets(_GROUP, templates, chunks)
    writer = ZarrWriter(targets, Verdict(poll, consensus, shown[0]), shared=shared)
    _, tables, agreements = sweep(cube, writer, counted, agreeing, grid=grid, label="stability")
    clusters = [len(np.unique(repeat.labels[repeat.labels >= 0])) for repeat in repeats]
    return tables_to_dataset(tables, agreements, clusters)


def _chunks(grid: Grid, pixel_bytes: int) -> tuple[tuple[int, ...], bool]:
    """Chunks of what is written, and whether blocks share them: in one process they can wait for each other."""
    shared = current_settings().client is None
    return grid.target_chunks(max(1, _CHUNK_BYTES // pixel_bytes), shared=shared), shared
