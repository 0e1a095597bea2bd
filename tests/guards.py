"""Guards: what a piece of code must not do, or must not do twice.

`no_compute` (nothing lazy is computed), `count_reads` and `CountingStore` (each chunk is fetched once), `peak_memory`
and `limit_memory` (a whole process stays under a limit).
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import dask
import dask.base
import dask.local
import dask.threaded
import zarr
from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore, WrapperStore

from refold.source import fetching

METADATA = frozenset({"zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata"})


# --- laziness ---------------------------------------------------------------------------------------------------------


class ComputedError(AssertionError):
    """Something lazy was computed where nothing may be."""


@contextmanager
def no_compute() -> Iterator[None]:
    """Raise where Dask computes anything, whichever scheduler is named."""

    def refuse(graph: Any, keys: Any, **options: Any) -> None:
        raise ComputedError(f"computed {str(keys)[:200]}")

    schedulers = dict.fromkeys(dask.base.named_schedulers, refuse)
    with (
        dask.config.set(scheduler=refuse),
        mock.patch.dict(dask.base.named_schedulers, schedulers),
        mock.patch.object(dask.threaded, "get", refuse),
        mock.patch.object(dask.local, "get_sync", refuse),
    ):
        yield


# --- reads ------------------------------------------------------------------------------------------------------------


class Reads:
    """How often each key of a store was fetched. A ranged get (a shard's index, one of its chunks) counts apart."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.gets: Counter[tuple[str, str]] = Counter()

    def count(self, key: str, byte_range: object = None) -> None:
        with self._lock:
            self.gets[key, "" if byte_range is None else str(byte_range)] += 1

    def reset(self) -> None:
        with self._lock:
            self.gets.clear()

    @property
    def of_chunks(self) -> dict[str, int]:
        """Fetches per chunk (or shard) key, metadata left out; of several ranges of one key, the most fetched one."""
        counts: dict[str, int] = {}
        for (key, _), count in self.gets.items():
            if key.rsplit("/", 1)[-1] not in METADATA:
                counts[key] = max(count, counts.get(key, 0))
        return counts

    @property
    def total(self) -> int:
        """Fetches of chunks in all."""
        return sum(self.of_chunks.values())

    def under(self, prefix: str) -> dict[str, int]:
        """Fetches per chunk key for the keys that begin with, or hold, this path."""
        return {key: count for key, count in self.of_chunks.items() if prefix in key}


class CountingStore(WrapperStore[Store]):
    """A Zarr store that counts its gets. Within one process: a copy that was pickled away counts for itself."""

    # zarr >= 3.2 reads synchronously where a store lets it; the asynchronous way is the one that is counted here.
    _supports_sync_io = False

    def __init__(self, store: Store, reads: Reads | None = None) -> None:
        super().__init__(store)
        self.reads = reads if reads is not None else Reads()

    def _with_store(self, store: Store) -> CountingStore:
        return type(self)(store, self.reads)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        self.reads.count(key, byte_range)
        return await self._store.get(key, prototype, byte_range)

    async def get_partial_values(self, prototype: Any, key_ranges: Any) -> Any:
        key_ranges = list(key_ranges)
        for key, byte_range in key_ranges:
            self.reads.count(key, byte_range)
        return await self._store.get_partial_values(prototype, key_ranges)

    def get_ranges(self, *args: Any, **kwargs: Any) -> Any:
        return Store.get_ranges(self, *args, **kwargs)  # in terms of get, so that each range is counted

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._store,)


@contextmanager
def count_reads() -> Iterator[Reads]:
    """Count what is fetched from any Zarr store in files, however it was opened. Keys begin with the store's path."""
    reads = Reads()
    with ExitStack() as patches:
        for kind in (LocalStore, FsspecStore):
            patches.enter_context(mock.patch.multiple(kind, **_counting_methods(kind, reads)))
        read_file = fetching.read_file

        def counting_read(path: Path, start: int = 0, stop: int | None = None) -> Any:
            reads.count(str(path), (start, stop) if start or stop is not None else None)
            return read_file(path, start, stop)

        patches.enter_context(mock.patch.object(fetching, "read_file", counting_read))
        yield reads


def _counting_methods(kind: Any, reads: Reads) -> dict[str, Any]:
    """Versions of a store class's getters that count; each calls the one it stands for."""
    get, get_partial, get_sync = kind.get, kind.get_partial_values, getattr(kind, "get_sync", None)

    def note(store: Any, key: str, byte_range: object) -> None:
        reads.count(f"{getattr(store, 'root', None) or store.path}/{key}", byte_range)

    async def counting_get(self: Any, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        note(self, key, byte_range)
        return await get(self, key, prototype, byte_range)

    async def counting_get_partial(self: Any, prototype: Any, key_ranges: Any) -> Any:
        key_ranges = list(key_ranges)
        for key, byte_range in key_ranges:
            note(self, key, byte_range)
        return await get_partial(self, prototype, key_ranges)

    def counting_get_sync(self: Any, key: str, **options: Any) -> Any:
        note(self, key, options.get("byte_range"))
        return get_sync(self, key, **options)

    methods = {"get": counting_get, "get_partial_values": counting_get_partial}
    return methods if get_sync is None else {**methods, "get_sync": counting_get_sync}


def chunk_keys(array: zarr.Array) -> int:
    """How many objects (chunks, or shards) hold an array: what reading all of it once must fetch."""
    objects = array.shards or array.chunks
    return math.prod(-(-size // side) for size, side in zip(array.shape, objects, strict=True))


# --- memory -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peak:
    """What a process used: peak resident memory in bytes, and what it wrote to stdout."""

    peak: int
    stdout: str


# VmHWM belongs to the address space of the child itself; ru_maxrss would begin at the resident size of the parent that
# forked it, and so measure pytest.
_PROBE = """
def _refold_peak():
    import pathlib, resource, sys
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
"""


def peak_memory(code: str, *args: object, timeout: float = 600) -> Peak:
    """Run Python code in a process of its own and measure its peak resident memory.

    `args` arrive in `sys.argv[1:]`. The code fails the test if it raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "peak.json"
        tail = f"import json, pathlib\npathlib.Path({str(answer)!r}).write_text(json.dumps(_refold_peak()))\n"
        script = Path(folder) / "measured.py"
        script.write_text(_PROBE + textwrap.dedent(code) + "\n" + tail)
        ran = subprocess.run(
            [sys.executable, str(script), *map(str, args)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "PYTHONWARNINGS": "default"},
        )
        if ran.returncode:
            raise AssertionError(f"the measured code failed with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}")
        return Peak(int(json.loads(answer.read_text())), ran.stdout)


def limit_memory(limit: int, code: str, *args: object, timeout: float = 600) -> Peak:
    """Run Python code in a process of its own; fail if its peak resident memory passes `limit` bytes."""
    used = peak_memory(code, *args, timeout=timeout)
    assert used.peak <= limit, f"peak resident memory {used.peak / 2**20:.0f} MiB, allowed {limit / 2**20:.0f} MiB"
    return used
