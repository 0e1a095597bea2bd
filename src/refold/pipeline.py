"""The whole run, from a scan to every pixel's label. The only file that knows the order of the stages."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from refold.cube import check_scan
from refold.engine import current_settings, settings
from refold.engine.display import progress_for_terminal
from refold.engine.progress import Progress
from refold.engine.resident import peak_memory, reset_peak
from refold.errors import ParameterError, StoreExistsError
from refold.planning.forecast import Forecast
from refold.recipe import Recipe
from refold.report import write_report
from refold.source import open as open_scan
from refold.stages import Work
from refold.store import RunStore, StageRecord, identify, open_run, stage_fingerprint, versions
from refold.store.run import is_run


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Parameters
    ----------
    name : str
        Also the name of the method of `Work` that does it.
    group : str
        Group of the store that holds its results; the answer itself lies in the root, which has no name.
    variables : tuple of str
        Its variables, where it shares its group with another stage.
    packages : tuple of str
        Packages whose version changes its result.
    """

    name: str
    group: str
    variables: tuple[str, ...] = ()
    packages: tuple[str, ...] = ("refold",)


STAGES = (
    Stage("features", "stages/features"),
    Stage("reduce", "stages/reduce"),
    Stage("embed", "stages/embed", packages=("refold", "umap-learn", "numba")),
    Stage("cluster", "stages/cluster", packages=("refold", "hdbscan")),
    Stage("labels", "", ("labels", "probability", "membership", "embedding", "cluster", "latent", "stages/binned")),
    Stage("statistics", "", ("cluster_mean", "cluster_std", "cluster_size")),
)


@dataclass(frozen=True)
class Outcome:
    """What a run did, for people and for programs.

    Parameters
    ----------
    store : Path
        The run.
    report : Path or None
        Its page.
    stages : mapping
        For each stage its ``seconds`` and whether it was ``reused``.
    chunks_read, bytes_read : int
        Of the scan, in this call.
    peak_memory : int
        Highest resident memory of this process, in bytes.
    seconds : float
        In all.
    clusters : int
        Clusters found.
    noise : float
        Share of the pixels that belong to none.
    """

    store: Path
    report: Path | None
    stages: Mapping[str, Mapping[str, Any]]
    chunks_read: int
    bytes_read: int
    peak_memory: int
    seconds: float
    clusters: int
    noise: float

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            **vars(self),
            "store": str(self.store),
            "report": str(self.report) if self.report else None,
            "ari": None,
        }


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
        Where the run is kept; by default beside nothing, in the working directory, under the scan's name. A run of the
        same scan that is there already goes on where it stopped: stages whose options did not change are reused.
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
    outcome = execute(
        scan,
        recipe,
        store=store,
        memory=memory,
        workers=workers,
        client=client,
        progress=progress,
        report=report,
        **options,
    )
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
    scan, recipe = _given(scan, recipe, options)
    with settings(memory=memory or recipe.resources.memory, workers=workers or recipe.resources.workers):
        work = Work(check_scan(scan), recipe)
        place = Path(store) if store is not None else None
        there = RunStore.open(place) if place is not None and place.exists() else None
        expected = _fingerprints(work)
        reused = {
            name
            for name in expected
            if there and (record := there.record(name)) and record.fingerprint == expected[name]
        }
        forecast = work.forecast(frozenset(reused))
        if check:
            forecast.check(_free_disk(place or Path.cwd()))
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
    scan, recipe = _given(scan, recipe, options)
    cube = check_scan(scan)
    place = Path(store) if store is not None else Path.cwd() / f"{_stem(cube)}.run.zarr"
    there = _enter(place, cube)
    remembered = there.note["resources"] if there else {}
    with settings(
        memory=memory or recipe.resources.memory or remembered.get("memory"),
        workers=workers or recipe.resources.workers or remembered.get("workers"),
        client=client,
        progress=progress if progress is not None else progress_for_terminal(),
    ) as setup:
        budget = setup.budget
        with settings(memory=budget.memory, workers=budget.workers):
            return _execute(Work(cube, recipe), place, there, report=report, began=began)


def _execute(work: Work, place: Path, there: RunStore | None, *, report: bool, began: float) -> Outcome:
    expected = _fingerprints(work)
    forecast = work.forecast()
    forecast.check(_free_disk(place))
    budget = current_settings().budget
    note = {
        "recipe": work.recipe.to_toml(),
        "plan": forecast.as_dict(),
        "versions": versions(),
        "resources": {"memory": budget.memory, "workers": budget.workers},
    }
    if there is None:
        there = RunStore.create(place, {"source": identify(work.raw), **note})
    kept = there.keep_only(expected)
    there.keep(**note)
    work.store = there
    records = {}
    for stage in STAGES:
        if stage.name == "features" and not work.materialise:
            continue
        if stage.name not in kept:
            there.begin(stage.group, stage.variables)
            there.finish(stage.name, _do(work, stage, expected[stage.name]))
        records[stage.name] = there.record(stage.name)
    page = place.with_suffix(".html") if report else None
    done = {name: {"seconds": rec.seconds, "reused": name in kept} for name, rec in records.items() if rec is not None}
    new = [rec for name, rec in records.items() if rec is not None and name not in kept]
    summary = work.summary()
    measured = {
        "stages": done,
        "sweeps": sum(rec.sweeps for rec in new),
        "chunks_read": sum(rec.chunks_read for rec in new),
        "bytes_read": sum(rec.bytes_read for rec in new),
        "peak_memory": peak_memory(),
        "seconds": time.perf_counter() - began,
        **summary,
    }
    there.keep(measured=measured)
    if page is not None:
        write_report(open_run(place), page)
    return Outcome(
        store=place,
        report=page,
        stages=done,
        chunks_read=measured["chunks_read"],
        bytes_read=measured["bytes_read"],
        peak_memory=peak_memory(),
        seconds=time.perf_counter() - began,
        **summary,
    )


def _do(work: Work, stage: Stage, fingerprint: str) -> StageRecord:
    """Do one stage, and say what it cost."""
    tally = current_settings().progress.tally
    sweeps, chunks, began = tally.sweeps, tally.chunks_read, time.perf_counter()
    notes = getattr(work, stage.name)()
    read = tally.chunks_read - chunks if work.reads_scan(stage.name) else 0
    return StageRecord(
        fingerprint=fingerprint,
        seconds=time.perf_counter() - began,
        sweeps=tally.sweeps - sweeps,
        chunks_read=read,
        bytes_read=work.raw.nbytes * read // work.raw_chunks if work.raw_chunks else 0,
        peak_memory=peak_memory(),
        notes=notes,
    )


def _given(scan: Any, recipe: Recipe | None, options: Mapping[str, Any]) -> tuple[Any, Recipe]:
    """The scan and the recipe, from what was given of either."""
    recipe = (recipe if recipe is not None else Recipe()).with_options(**options)
    if isinstance(scan, str | os.PathLike):
        recipe = recipe.with_options(source={"path": os.fspath(scan)})
        scan = None
    if scan is not None:
        return scan, recipe
    source = recipe.source.to_dict()
    if "path" not in source:
        raise ParameterError("neither a scan nor a recipe that names one", "a scan", "give a path or a cube")
    return open_scan(source.pop("path"), **source), recipe


def _enter(place: Path, cube: xr.DataArray) -> RunStore | None:
    """The run that is there already, if it is one of this scan."""
    if not place.exists():
        return None
    if not is_run(place):
        raise StoreExistsError(
            f"{place}, which is not a run of Refold", "a new place, or a run to go on with", "choose another output"
        )
    store = RunStore.open(place)
    if store.note["source"] != identify(cube):
        was = store.note["source"]
        raise StoreExistsError(
            f"{place}, a run of {was.get('path', was['name'])} {was['shape']}",
            f"a run of this scan, {list(cube.shape)}",
            "choose another output, or remove that run if the scan was replaced",
        )
    return store


def _fingerprints(work: Work) -> dict[str, str]:
    """What each stage's result must carry to be the answer to this recipe for this scan."""
    before, found = repr(sorted(identify(work.raw).items())), {}
    for stage in STAGES:
        before = stage_fingerprint(stage.name, work.recipe.options(stage.name), before, stage.packages)
        found[stage.name] = before
    return found


def _stem(cube: xr.DataArray) -> str:
    return Path(cube.attrs["source"]).stem if "source" in cube.attrs else str(cube.name or "scan")


def _free_disk(place: Path) -> int:
    folder = place.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
