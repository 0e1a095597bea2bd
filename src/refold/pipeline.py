"""The whole run, from a scan to every pixel's label. The only file that knows the order of the stages."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from refold.backends.compiling import compile_seconds
from refold.engine import current_settings, settings
from refold.engine.display import progress_for_terminal
from refold.engine.progress import Progress
from refold.engine.resident import peak_memory, release_memory, reset_peak
from refold.outcome import Outcome
from refold.parts import cubes_given
from refold.planning.forecast import Forecast
from refold.recipe import Recipe
from refold.report import write_report
from refold.stages import BINNED, CLUSTER, EMBED, FEATURES, FUSED, LABELS, REDUCE, STATISTICS, TRAINING, Work
from refold.store import RunStore, StageRecord, enter, free_disk, open_run, stage_fingerprint, versions


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Parameters
    ----------
    name : str
        Also the name of the method of `Work` that does it.
    groups : tuple of str
        Groups of the store that hold its results.
    answer : str, optional
        Group that it writes and whose arrays are the run's answer: they end in the root.
    packages : tuple of str
        Packages whose version changes its result.
    resumes : tuple of str
        Folders of the store that it goes on with if it was interrupted; they go when it is done.
    """

    name: str
    groups: tuple[str, ...] = ()
    answer: str | None = None
    packages: tuple[str, ...] = ("refold",)
    resumes: tuple[str, ...] = ()


STAGES = (
    Stage("features", (FEATURES,)),
    Stage("fuse", (FUSED,)),
    Stage("reduce", (REDUCE,), resumes=(TRAINING,)),
    Stage("embed", (EMBED,), packages=("refold", "umap-learn", "numba")),
    Stage("cluster", (CLUSTER,), packages=("refold", "hdbscan")),
    Stage("labels", (BINNED,), answer=LABELS),
    Stage("statistics", answer=STATISTICS),
)


def run(
    scan: Any = None,
    recipe: Recipe | None = None,
    *,
    store: str | os.PathLike[str] | None = None,
    memory: int | str | None = None,
    workers: int | None = None,
    client: Any = None,
    progress: Progress | None = None,
    report: bool = True,
    **options: Any,
) -> xr.Dataset:
    """Do the whole pipeline: every pixel of a scan gets its label, in bounded memory.

    Parameters
    ----------
    scan : xarray.DataArray, xarray.Dataset or path, optional
        What to segment; by default what the recipe names.
    recipe : Recipe, optional
        What to do. By default a recipe of defaults.
    store : path-like, optional
        Where the run is kept; by default in the working directory, under the scan's name. A run of the same scan that
        is there already goes on where it stopped: stages whose options did not change are reused.
    memory : int or str, optional
        Bytes for data, or a size such as ``"2GB"``; by default a quarter of what is free.
    workers : int, optional
        Partitions in flight; by default one for each core.
    client : distributed.Client, optional
        Where the sweeps run; in threads of this process by default.
    progress : Progress, optional
        Told of every block; by default a bar if standard error is a terminal.
    report : bool
        Whether to write the page beside the store.
    **options
        Changes to the recipe by their short names: ``rebin={"ky": 2, "kx": 2}``, ``n_components=10``,
        ``landmarks=5000``, ``min_cluster_size=50``, ...

    Returns
    -------
    xarray.Dataset
        The run, as `refold.open_run` gives it: ``labels``, ``probability``, ``scores``, ``cluster_mean``, ...

    Raises
    ------
    RefoldError
        If the scan, the recipe, the memory or the place of the store will not do.

    Examples
    --------
    >>> import tempfile, refold
    >>> phantom = refold.synthetic.four_d_stem((24, 24), detector=(16, 16), seed=0)
    >>> place = tempfile.mkdtemp() + "/phantom.run.zarr"
    >>> result = refold.run(phantom.cube, store=place, n_components=6, embed="none", report=False)
    >>> result.labels.dims
    ('y', 'x')
    """
    resources: dict[str, Any] = {"memory": memory, "workers": workers, "client": client, "progress": progress}
    outcome = execute(scan, recipe, store=store, report=report, **resources, **options)
    return open_run(outcome.store)


def plan(
    scan: Any = None,
    recipe: Recipe | None = None,
    *,
    store: str | os.PathLike[str] | None = None,
    memory: int | str | None = None,
    workers: int | None = None,
    check: bool = True,
    **options: Any,
) -> Forecast:
    """Say what a run would read, write, hold in memory and take; nothing is computed.

    Parameters
    ----------
    scan, recipe, store, memory, workers, **options
        As for `run`.
    check : bool
        Whether to refuse a run that cannot fit.

    Returns
    -------
    Forecast
        Sweeps, tasks, bytes, peak memory and time, by stage and in all. Stages that ``store`` has cost nothing.

    Raises
    ------
    MemoryBudgetError
        If it cannot fit; it says what is needed, what is allowed and what to change.

    Examples
    --------
    >>> import numpy as np, refold
    >>> refold.plan(refold.as_cube(np.ones((20, 20, 8)), signal="energy"), n_components=3).sweeps
    5
    """
    work = Work(*_given(scan, recipe, options))
    place = Path(store) if store is not None else None
    there = enter(place, work.identity) if place is not None else None
    with _resources(work.recipe, there, memory=memory, workers=workers):
        forecast = work.forecast(_reused(work, there))
        if check:
            forecast.check(free_disk(place or Path.cwd()))
        return forecast


def execute(
    scan: Any = None,
    recipe: Recipe | None = None,
    *,
    store: str | os.PathLike[str] | None = None,
    memory: int | str | None = None,
    workers: int | None = None,
    client: Any = None,
    progress: Progress | None = None,
    report: bool = True,
    **options: Any,
) -> Outcome:
    """Do what `run` does, and return what it cost and found; for the parameters see there."""
    began = time.perf_counter()
    reset_peak()
    work = Work(*_given(scan, recipe, options))
    place = Path(store) if store is not None else Path.cwd() / f"{_stem(work)}.run.zarr"
    there = enter(place, work.identity)
    progress = progress if progress is not None else progress_for_terminal()
    with _resources(work.recipe, there, memory=memory, workers=workers, client=client, progress=progress):
        told = work.forecast(_reused(work, there))
        told.check(free_disk(place))
        work.store = _begin(work, place, there)
        records, reused = _do_all(work)
        summary = work.summary()
    done = {name: record for name, record in records.items() if name not in reused}
    peak = max((record.peak_memory for record in done.values()), default=peak_memory())
    work.store.keep(measured={**_totals(records), **summary, "peak_memory": peak})
    page = place.with_suffix(".html") if report else None
    if page is not None:
        write_report(open_run(place), page)
    new = _totals(done)
    return Outcome(
        store=place,
        report=page,
        stages={name: {"seconds": record.seconds, "reused": name in reused} for name, record in records.items()},
        chunks_read=new["chunks_read"],
        bytes_read=new["bytes_read"],
        peak_memory=max(peak, peak_memory()),
        seconds=time.perf_counter() - began,
        forecast={"peak_memory": told.peak_memory, "seconds": told.seconds},
        **summary,
    )


def _begin(work: Work, place: Path, there: RunStore | None) -> RunStore:
    """The store, with what is planned noted in it before anything is done."""
    note = {
        "recipe": work.recipe.to_toml(),
        "plan": work.forecast().as_dict(),
        "versions": versions(),
        "resources": asdict(current_settings().budget),
    }
    if there is None:
        return RunStore.create(place, {"source": work.identity, **note})
    there.keep(**note)
    return there


def _do_all(work: Work) -> tuple[dict[str, StageRecord], list[str]]:
    """Do what is not there yet; return the records of all stages, and the names of those that were there."""
    expected, store = _fingerprints(work), work.store
    kept = store.keep_only(expected)
    stages = [stage for stage in STAGES if _takes_part(work, stage.name, kept)]
    if "reduce" not in kept:
        work.reducer.check_ready()
    for stage in stages:
        if stage.name not in kept:
            store.clear(spare=stage.resumes)
            record = _do(work, stage, expected[stage.name])
            store.finish(stage.name, record, stage.groups, stage.answer)
    records = store.records
    return {stage.name: records[stage.name] for stage in stages}, kept


def _takes_part(work: Work, stage: str, kept: Collection[str]) -> bool:
    """Whether a run has this stage: not all make features, or reduce them, or write what they learn from."""
    if stage == "features":
        read_again = work.space is not None or not {"reduce", "statistics"} <= set(kept)
        return stage in kept or (work.materialise and read_again)
    return {"fuse": work.space is not None, "reduce": work.reducer.reduces}.get(stage, True)


def _totals(records: Mapping[str, StageRecord]) -> dict[str, Any]:
    """What some stages cost together."""
    names = ("sweeps", "tasks", "chunks_read", "bytes_read", "bytes_written", "seconds")
    return {name: sum(getattr(record, name) for record in records.values()) for name in names}


def _do(work: Work, stage: Stage, fingerprint: str) -> StageRecord:
    """Do one stage, and say what it cost."""
    tally = current_settings().progress.tally
    sweeps, tasks, chunks, began = tally.sweeps, tally.tasks, tally.chunks_read, time.perf_counter()
    reset_peak()
    with compile_seconds() as compiling:
        notes = getattr(work, stage.name)()
    release_memory()
    read = tally.chunks_read - chunks if work.reads_scan(stage.name) else 0
    return StageRecord(
        fingerprint=fingerprint,
        seconds=time.perf_counter() - began,
        sweeps=tally.sweeps - sweeps,
        tasks=tally.tasks - tasks,
        chunks_read=read,
        bytes_read=work.raw_bytes * read // work.raw_chunks if work.raw_chunks else 0,
        bytes_written=work.store.size_of([*stage.groups, *([stage.answer] if stage.answer else [])]),
        peak_memory=peak_memory(),
        notes={**notes, **({"compiling": sum(compiling)} if compiling else {})},
    )


def _given(scan: Any, recipe: Recipe | None, options: Mapping[str, Any]) -> tuple[dict[str, xr.DataArray], Recipe]:
    """The cubes and the recipe, from what was given of either."""
    return cubes_given(scan, (recipe if recipe is not None else Recipe()).with_options(**options))


@contextmanager
def _resources(recipe: Recipe, there: RunStore | None, **given: Any) -> Iterator[None]:
    """What sweeps may use: as given now, or as the recipe says, or as the run began with, or by default.

    A run goes on with what it began with, because blocks follow from it, and the last bits of sums from blocks.
    """
    began_with = there.note["resources"] if there else {}
    for name in ("memory", "workers"):
        given[name] = given[name] or getattr(recipe.resources, name) or began_with.get(name)
    with settings(**given) as setup, settings(memory=setup.budget.memory, workers=setup.budget.workers):
        yield


def _reused(work: Work, there: RunStore | None) -> frozenset[str]:
    """Stages whose results are there already."""
    records = there.records if there else {}
    expected = _fingerprints(work)
    return frozenset(name for name, record in records.items() if expected.get(name) == record.fingerprint)


def _fingerprints(work: Work) -> dict[str, str]:
    """What each stage's result must carry to be the answer to this recipe for this scan."""
    before, found = repr(sorted(work.identity.items())), {}
    for stage in STAGES:
        before = stage_fingerprint(stage.name, work.recipe.options(stage.name), before, stage.packages)
        found[stage.name] = before
    return found


def _stem(work: Work) -> str:
    """Name of a run's store, after the file of its first cube or else after the cubes."""
    first = work.parts[0].raw
    return Path(first.attrs["source"]).stem if "source" in first.attrs else "-".join(part.name for part in work.parts)
