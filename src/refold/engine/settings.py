"""How sweeps run: memory, workers, client, progress. Set once around a run, so that every sweep within obeys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import psutil

from refold.engine.progress import Progress
from refold.errors import ParameterError
from refold.planning import Budget, parse_bytes


@dataclass(frozen=True)
class Settings:
    """How sweeps run.

    Parameters
    ----------
    memory : int or str, optional
        Bytes, or a size such as ``"2GB"``. By default a quarter of what is free.
    workers : int, optional
        Partitions in flight. By default one for each core that this process may use.
    client : distributed.Client, optional
        Where partitions run; in threads of this process by default.
    progress : Progress
        Told of every block.

    Examples
    --------
    >>> Settings(memory="2GB", workers=4).budget
    Budget(memory=2000000000, workers=4)
    """

    memory: int | str | None = None
    workers: int | None = None
    client: Any = None
    progress: Progress = field(default_factory=Progress)

    @property
    def budget(self) -> Budget:
        """Memory and workers, with the defaults filled in."""
        memory = psutil.virtual_memory().available // 4 if self.memory is None else parse_bytes(self.memory)
        return Budget(memory, self.n_workers)

    @property
    def n_workers(self) -> int:
        """Partitions in flight."""
        if self.workers is not None:
            if self.workers < 1:
                raise ParameterError(f"workers={self.workers}", "one or more", "leave it out to use every core")
            return self.workers
        return sum(self.client.nthreads().values()) or 1 if self.client is not None else n_cores()


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_CURRENT: ContextVar[Settings | None] = ContextVar("refold_settings", default=None)


def current_settings(**changes: Any) -> Settings:
    """The settings in force, with those changed that are not None."""
    base = _CURRENT.get() or Settings()
    return replace(base, **{name: value for name, value in changes.items() if value is not None})


@contextmanager
def settings(**changes: Any) -> Iterator[Settings]:
    """Change how the sweeps within the block run.

    Parameters
    ----------
    **changes
        Fields of `Settings`.

    Yields
    ------
    Settings
        What is in force.

    Examples
    --------
    >>> with settings(memory="1GB") as inner:
    ...     inner.budget.memory
    1000000000
    """
    token = _CURRENT.set(current_settings(**changes))
    try:
        yield current_settings()
    finally:
        _CURRENT.reset(token)
