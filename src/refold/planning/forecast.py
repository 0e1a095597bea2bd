"""What a run will read, write, hold in memory and take: told before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from refold.errors import DiskFullError, MemoryBudgetError
from refold.planning.budget import format_bytes
from refold.planning.sizes import Sizes
from refold.planning.timing import Clock

# Resident memory besides the data (`python -m benchmarks --only forecast`): in the first sweep, with Numba; in later
# ones, with scikit-learn and the algebra; while landmarks are embedded, with umap-learn and hdbscan.
_FIRST_MEMORY = 400_000_000
BASE_MEMORY = 470_000_000
_MANIFOLD_MEMORY = 550_000_000
# Of every pixel, while a scan is swept and while landmarks are drawn from it: measured on 3.8 million.
_PIXEL_BYTES, _DRAWN_BYTES = 25, 55
# While the page is drawn: with Matplotlib, and of every pixel up to a million.
_PAGE_MEMORY, _PAGE_PIXEL_BYTES, _PAGE_BYTES = 620_000_000, 300, 300_000_000
# A landmark's neighbours, graph and layout in UMAP and its place in HDBSCAN's trees; and, of each of its scores, what
# drawing it and its neighbours' index hold. In all 2.6 kB were measured with 20 scores, 60 kB with 1 350.
_LANDMARK_BYTES, _SCORE_BYTES = 2200, 48


@dataclass(frozen=True)
class StageForecast:
    """What one stage will cost.

    Parameters
    ----------
    seconds : float
        Rough time.
    sweeps : int
        Traversals of the scan or its features.
    chunks_read, bytes_read : int
        Of the raw scan.
    features_read : int
        Bytes of the prepared features that are read back.
    bytes_written : int
        Before compression.
    data_memory : int
        Bytes of data that are held on purpose: blocks, sums, landmarks. This is what the budget is for.
    peak_memory : int
        Resident, in bytes: the process itself, its data, and what their copies and the allocator add.
    reused : bool
        Whether it is there already.
    """

    seconds: float = 0.0
    sweeps: int = 0
    chunks_read: int = 0
    bytes_read: int = 0
    features_read: int = 0
    bytes_written: int = 0
    data_memory: int = 0
    peak_memory: int = 0
    reused: bool = False


@dataclass(frozen=True)
class Forecast:
    """What a run will cost, by stage and in all.

    Parameters
    ----------
    sizes : Sizes
        What it was made from.
    stages : mapping of str to StageForecast
        In their order.
    memory_allowed : int
        The budget for data.
    notes : tuple of str
        How the scan is prepared; what could be better, and how.

    Examples
    --------
    >>> sizes = Sizes(10_000, 256, 10**8, 40, 40, 5 * 10**6, 10**7, 10**6, 20, 2000, 2, True, 0, 10**9, 7, 2, 10_000)
    >>> forecast(sizes, memory_allowed=10**9).chunks_read
    40
    """

    sizes: Sizes
    stages: Mapping[str, StageForecast] = field(default_factory=dict)
    memory_allowed: int = 0
    notes: tuple[str, ...] = ()

    def _sum(self, name: str) -> Any:
        return sum(getattr(stage, name) for stage in self.stages.values() if not stage.reused)

    @property
    def sweeps(self) -> int:
        """Traversals of scan or features."""
        return int(self._sum("sweeps"))

    @property
    def tasks(self) -> int:
        """Partitions and merges of all sweeps."""
        return self.sweeps * self.sizes.tasks_per_sweep

    @property
    def chunks_read(self) -> int:
        """Reads of a chunk of the raw scan."""
        return int(self._sum("chunks_read"))

    @property
    def bytes_read(self) -> int:
        """Decoded bytes read of the raw scan."""
        return int(self._sum("bytes_read"))

    @property
    def bytes_written(self) -> int:
        """Bytes written, before compression."""
        return int(self._sum("bytes_written"))

    @property
    def seconds(self) -> float:
        """Rough time."""
        return float(self._sum("seconds"))

    @property
    def peak_memory(self) -> int:
        """Highest resident memory of any stage."""
        return max((stage.peak_memory for stage in self.stages.values() if not stage.reused), default=BASE_MEMORY)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        totals = ("sweeps", "tasks", "chunks_read", "bytes_read", "bytes_written", "peak_memory", "seconds")
        return {
            "stages": {name: asdict(stage) for name, stage in self.stages.items()},
            **{name: getattr(self, name) for name in (*totals, "memory_allowed")},
            "features_written": self.sizes.materialise,
            "notes": list(self.notes),
        }

    def check(self, free_disk: int | None = None) -> None:
        """Refuse a run that cannot fit.

        Parameters
        ----------
        free_disk : int, optional
            Bytes free where the run will be written.

        Raises
        ------
        MemoryBudgetError
            If a stage needs more than the budget.
        DiskFullError
            If more will be written than is free.
        """
        for name, stage in self.stages.items():
            if not stage.reused and (needed := stage.data_memory) > self.memory_allowed:
                raise MemoryBudgetError(
                    f"stage {name!r} that needs {format_bytes(needed)} for data",
                    f"at most {format_bytes(self.memory_allowed)}",
                    f"allow --memory {format_bytes(needed * 1.05).replace(' ', '')}, "
                    "use fewer workers or landmarks, or rebin more",
                )
        if free_disk is not None and self.bytes_written > free_disk:
            raise DiskFullError(
                f"{format_bytes(free_disk)} free on the disk of the run",
                f"{format_bytes(self.bytes_written)}, which the run writes before compression",
                "free some, choose another place, rebin more, or leave the features unwritten with --no-features",
            )


def forecast(sizes: Sizes, memory_allowed: int, reused: frozenset[str] = frozenset()) -> Forecast:
    """Tell what a run will cost.

    Parameters
    ----------
    sizes : Sizes
        Of the scan and of what was asked.
    memory_allowed : int
        Bytes for data.
    reused : frozenset of str
        Stages that are there already.

    Returns
    -------
    Forecast
        By stage.
    """
    stages = {
        "features": _features(sizes),
        "fuse": _fuse(sizes),
        "reduce": _reduce(sizes),
        "embed": _embed(sizes),
        "cluster": _cluster(sizes),
        "labels": _labels(sizes),
        "statistics": _statistics(sizes),
        "report": _report(sizes),
    }
    skipped = {"features": not sizes.materialise, "fuse": not sizes.fuses, "reduce": not sizes.reduces}
    stages = {name: stage for name, stage in stages.items() if not skipped.get(name)}
    if "features" in stages and not sizes.fuses:
        if {"reduce", "statistics"} <= reused:
            reused = reused | {"features"}  # nothing is left that would read them
        elif "features" in reused and "reduce" not in reused:
            again = stages["reduce"].sweeps + 1  # the sums of the first sweep
            stages["reduce"] = replace(stages["reduce"], sweeps=again)
    if stages.keys() - {"report"} <= reused:
        reused = reused | {"report"}
    marked = {name: replace(stage, reused=name in reused) for name, stage in stages.items()}
    return Forecast(sizes, marked, memory_allowed)


def _features(sizes: Sizes) -> StageForecast:
    return StageForecast(
        seconds=_clock(sizes).first_sweep(sizes.reread, sizes.n_values),
        sweeps=1,
        chunks_read=sizes.chunk_reads,
        bytes_read=sizes.reread,
        bytes_written=sizes.written_before,
        **_sweep_memory(sizes, _FIRST_MEMORY),
    )


def _fuse(sizes: Sizes) -> StageForecast:
    clock, again = _clock(sizes), sizes.fuse_sweeps - sizes.prepared_sweeps
    first = sizes.prepared_bytes if sizes.materialise else sizes.reread
    seconds = clock.sweeps(sizes.prepared_sweeps, first, sizes.n_values)
    seconds += clock.sweeps(again, sizes.kept_bytes, sizes.n_values) if again else 0.0
    read = {"features_read": sizes.fuse_bytes} if sizes.materialise else _read_prepared(sizes, sizes.prepared_sweeps)
    return StageForecast(
        seconds=seconds,
        sweeps=sizes.fuse_sweeps,
        bytes_written=sizes.feature_bytes + sizes.kept_bytes,
        **_sweep_memory(sizes),
        **read,
    )


def _reduce(sizes: Sizes) -> StageForecast:
    # Where the features are written, the sweep that did so took the first sums.
    sweeps = sizes.reduce_sweeps + (0 if sizes.materialise or sizes.fuses else 1)
    return StageForecast(
        seconds=_clock(sizes).sweeps(sweeps, _once(sizes), sizes.n_values, sizes.flops),
        sweeps=sweeps,
        bytes_written=sizes.scores_bytes + 4 * sizes.n_components * sizes.n_features,
        **_sweep_memory(sizes, BASE_MEMORY + sizes.process_bytes, sizes.training_bytes),
        **_read(sizes, sweeps),
    )


def _embed(sizes: Sizes) -> StageForecast:
    return StageForecast(
        seconds=_clock(sizes).embedding(sizes.n_pixels, sizes.n_landmarks, sizes.n_latent),
        sweeps=1 if sizes.n_landmarks == sizes.n_pixels else 3,
        bytes_written=sizes.n_landmarks * 8 * (sizes.n_components + sizes.n_latent + 2),
        **_landmark_memory(sizes),
    )


def _cluster(sizes: Sizes) -> StageForecast:
    return StageForecast(
        seconds=_clock(sizes).clustering(sizes.n_landmarks, sizes.n_latent),
        bytes_written=sizes.n_landmarks * 64,
        **_landmark_memory(sizes),
    )


def _labels(sizes: Sizes) -> StageForecast:
    return StageForecast(
        seconds=_clock(sizes).voting(sizes.n_pixels, sizes.n_landmarks, sizes.n_components),
        sweeps=1,
        bytes_written=sizes.full_pixels * (8 + 4 * sizes.n_latent),
        **_landmark_memory(sizes, blocks=2),
    )


def _statistics(sizes: Sizes) -> StageForecast:
    read = (sizes.prepared_bytes if sizes.materialise else sizes.reread) if sizes.fuses else _once(sizes)
    once = _clock(sizes).sweeps(1, read, sizes.n_values)
    return StageForecast(once, 1, **_sweep_memory(sizes), **_read_prepared(sizes, 1))


def _report(sizes: Sizes) -> StageForecast:
    """The page: maps are thinned to what it shows, so that past a million pixels little is added."""
    drawn = min(_PAGE_PIXEL_BYTES * sizes.full_pixels, _PAGE_BYTES)
    peak = _PAGE_MEMORY + drawn + _PIXEL_BYTES * sizes.full_pixels
    return StageForecast(_clock(sizes).report(sizes.full_pixels), peak_memory=peak)


def _clock(sizes: Sizes) -> Clock:
    return Clock(sizes.workers, sizes.rates)


def _sweep_memory(sizes: Sizes, base: int = BASE_MEMORY, training: int = 0) -> dict[str, Any]:
    """Blocks and sums; or, if that is more, what training a network holds."""
    data = max(sizes.block_memory + sizes.state_bytes, training)
    return {"data_memory": data, "peak_memory": base + data + _PIXEL_BYTES * sizes.n_pixels}


def _landmark_memory(sizes: Sizes, blocks: int = 1) -> dict[str, Any]:
    """Landmarks, and blocks of scores; two of each where answers are written, which with memberships are as large."""
    landmarks = sizes.n_landmarks * (_SCORE_BYTES * sizes.n_components + _LANDMARK_BYTES)
    scores = blocks * min(sizes.block_memory, 3 * sizes.scores_bytes)
    base = (_MANIFOLD_MEMORY if sizes.n_latent else BASE_MEMORY) + scores
    return {"data_memory": landmarks, "peak_memory": base + landmarks + _DRAWN_BYTES * sizes.n_pixels}


def _read(sizes: Sizes, sweeps: int) -> dict[str, Any]:
    """What sweeps over what is learnt from read: the features, if they were written, else the scan."""
    if sizes.fuses:
        return {"features_read": sweeps * sizes.feature_bytes}
    return _read_prepared(sizes, sweeps)


def _read_prepared(sizes: Sizes, sweeps: int) -> dict[str, Any]:
    """What sweeps over the prepared cubes read: these, if they were written, else the scan."""
    if sizes.materialise:
        return {"features_read": sweeps * sizes.written_before}
    return {"chunks_read": sweeps * sizes.chunk_reads, "bytes_read": sweeps * sizes.reread}


def _once(sizes: Sizes) -> int:
    """Bytes of one sweep over what is learnt from."""
    return sizes.feature_bytes if sizes.materialise or sizes.fuses else sizes.reread
