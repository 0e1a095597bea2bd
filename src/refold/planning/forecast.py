"""What a run will read, write, hold in memory and take: told before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from refold.errors import DiskFullError, MemoryBudgetError
from refold.planning.budget import format_bytes

# Resident memory that a run costs before any data: the interpreter, NumPy, Numba's compiler, umap-learn, hdbscan,
# matplotlib for the report. Measured with benchmarks/memory.py.
BASE_MEMORY = 450_000_000
# Rates of one core, for a forecast of time that is right within a small factor until this machine is calibrated.
_DECODE = 0.5e9
_MULTIPLY = 30e9
_EMBED_PIXELS = 3000
_FIXED_SECONDS = 15.0


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
    peak_memory : int
        Resident, in bytes.
    reused : bool
        Whether it is there already.
    """

    seconds: float = 0.0
    sweeps: int = 0
    chunks_read: int = 0
    bytes_read: int = 0
    features_read: int = 0
    bytes_written: int = 0
    peak_memory: int = 0
    reused: bool = False


@dataclass(frozen=True)
class Sizes:
    """The numbers that a forecast is made from.

    Parameters
    ----------
    n_pixels, n_features : int
        Of the prepared cube.
    raw_bytes, raw_chunks : int
        Of the scan as it is stored, decoded.
    chunk_reads : int
        Chunk reads of one raw sweep; more than there are chunks where blocks split them.
    feature_bytes : int
        Bytes of the prepared cube.
    block_memory : int
        Bytes in flight during a sweep: all workers' blocks.
    state_bytes : int
        Bytes of the visitors' states alive at once.
    n_components, n_landmarks, n_latent : int
        Sizes of the results.
    materialise : bool
        Whether the prepared features are written, so that the raw scan is read once.
    reduce_sweeps : int
        Sweeps of the reduction beyond the first.
    flops : int
        Of the reduction.
    tasks_per_sweep : int
        Partitions and merges.
    workers : int
        Partitions in flight.
    full_pixels : int
        Pixels of the scan before navigation binning.
    """

    n_pixels: int
    n_features: int
    raw_bytes: int
    raw_chunks: int
    chunk_reads: int
    feature_bytes: int
    block_memory: int
    state_bytes: int
    n_components: int
    n_landmarks: int
    n_latent: int
    materialise: bool
    reduce_sweeps: int
    flops: int
    tasks_per_sweep: int
    workers: int
    full_pixels: int


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

    Examples
    --------
    >>> sizes = Sizes(10_000, 256, 10**8, 40, 40, 5 * 10**6, 10**7, 10**6, 20, 2000, 2, True, 0, 10**9, 7, 2, 10_000)
    >>> forecast(sizes, memory_allowed=10**9).chunks_read
    40
    """

    sizes: Sizes
    stages: Mapping[str, StageForecast] = field(default_factory=dict)
    memory_allowed: int = 0

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
        return {
            "stages": {name: asdict(stage) for name, stage in self.stages.items()},
            "sweeps": self.sweeps,
            "tasks": self.tasks,
            "chunks_read": self.chunks_read,
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "peak_memory": self.peak_memory,
            "memory_allowed": self.memory_allowed,
            "seconds": self.seconds,
            "features_written": self.sizes.materialise,
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
            needed = stage.peak_memory - BASE_MEMORY
            if not stage.reused and needed > self.memory_allowed:
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
                "free some, choose another place, or rebin more",
            )


def forecast(sizes: Sizes, memory_allowed: int, reused: frozenset[str] | set[str] = frozenset()) -> Forecast:
    """Tell what a run will cost.

    Parameters
    ----------
    sizes : Sizes
        Of the scan and of what was asked.
    memory_allowed : int
        Bytes for data.
    reused : set of str
        Stages that are there already.

    Returns
    -------
    Forecast
        By stage.
    """
    sweep_memory = BASE_MEMORY + sizes.block_memory
    raw = {"chunks_read": sizes.chunk_reads, "bytes_read": _reread(sizes)}
    scores_bytes = 4 * sizes.n_pixels * (sizes.n_components + 1)
    answer_bytes = sizes.full_pixels * (8 + 4 * sizes.n_latent)

    def over_features(sweeps: int) -> dict[str, int]:
        if sizes.materialise:
            return {"features_read": sweeps * sizes.feature_bytes}
        return {name: sweeps * value for name, value in raw.items()}

    def seconds(read: float, flops: float = 0, else_: float = 0) -> float:
        return read / (_DECODE * sizes.workers) + flops / (_MULTIPLY * sizes.workers) + else_

    again = sizes.feature_bytes if sizes.materialise else _reread(sizes)
    landmark_bytes = sizes.n_landmarks * (
        8 * sizes.n_components + 1200
    )  # rows, neighbours and graph of UMAP, tree of HDBSCAN
    stages = {
        "features": StageForecast(
            seconds=seconds(raw["bytes_read"], 0, 2),
            sweeps=1,
            bytes_written=sizes.feature_bytes if sizes.materialise else 0,
            peak_memory=sweep_memory + sizes.state_bytes,
            **raw,
        ),
        "reduce": StageForecast(
            seconds=seconds(again * (sizes.reduce_sweeps + 1), sizes.flops, 1),
            sweeps=sizes.reduce_sweeps + 1,
            bytes_written=scores_bytes + 4 * sizes.n_components * sizes.n_features,
            peak_memory=sweep_memory + sizes.state_bytes,
            **over_features(sizes.reduce_sweeps + 1),
        ),
        "embed": StageForecast(
            seconds=sizes.n_landmarks / _EMBED_PIXELS + _FIXED_SECONDS,
            sweeps=1,
            bytes_written=sizes.n_landmarks * 8 * (sizes.n_components + sizes.n_latent + 2),
            peak_memory=BASE_MEMORY + landmark_bytes,
        ),
        "cluster": StageForecast(
            seconds=sizes.n_landmarks / _EMBED_PIXELS / 2,
            bytes_written=sizes.n_landmarks * 64,
            peak_memory=BASE_MEMORY + landmark_bytes,
        ),
        "labels": StageForecast(
            seconds=seconds(scores_bytes, 3.0 * sizes.n_pixels * sizes.n_landmarks * sizes.n_components, 1),
            sweeps=1,
            bytes_written=answer_bytes,
            peak_memory=BASE_MEMORY + landmark_bytes + min(sizes.block_memory, scores_bytes * 4),
        ),
        "statistics": StageForecast(
            seconds=seconds(again), sweeps=1, peak_memory=sweep_memory + sizes.state_bytes, **over_features(1)
        ),
    }
    marked = {name: StageForecast(**{**asdict(stage), "reused": name in reused}) for name, stage in stages.items()}
    return Forecast(sizes, marked, memory_allowed)


def _reread(sizes: Sizes) -> int:
    """Bytes of one raw sweep, chunks that are read twice counted twice."""
    return sizes.raw_bytes * sizes.chunk_reads // max(1, sizes.raw_chunks)
