"""How fast this machine is: measured once, in under a second, and kept in the user's cache folder.

A plan that follows from a noisy clock would break the law that the same run gives the same bytes. So the first
measurement on a machine stands for good, whoever makes it; where it cannot be kept it is not used, and plans are made
from fixed figures; and what a plan decides by rates, it decides by coarsely rounded ones (`refold.planning.Rates`).
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from refold.engine.settings import n_cores
from refold.planning.rates import FALLBACK, Rates

Work = Callable[[], Any]

_VERSION = 1  # of what is measured and how
_ROWS, _FEATURES, _PANEL, _COLUMNS = 1024, 2048, 256, 64
_COPY_VALUES = 4 << 20
_REPEATS = 5
_SIGNIFICANT = 2


@cache
def machine_rates() -> Rates:
    """Rates of this machine, from the cache or measured now.

    Returns
    -------
    Rates
        `FALLBACK` where they can neither be read nor kept, or where ``REFOLD_RATES=fixed`` is in the environment.
    """
    if os.environ.get("REFOLD_RATES") == "fixed":
        return FALLBACK
    path = cache_folder() / f"rates-{_machine_key()}.json"
    kept = _read(path)
    if kept is None and _may_write(path.parent):
        _keep(path, measure_rates())
        kept = _read(path)
    return FALLBACK if kept is None else kept


def cache_folder() -> Path:
    """Where this user's caches are: ``REFOLD_CACHE``, or the place that the system has for such things."""
    if chosen := os.environ.get("REFOLD_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "refold"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "refold" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "refold"


def measure_rates() -> Rates:
    """Measure, on all cores at once, since cores share caches, memory and sometimes more.

    Returns
    -------
    Rates
        Of one core, to two figures.

    Examples
    --------
    >>> measure_rates().multiply > 1e8
    True
    """
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((_ROWS, _FEATURES), dtype=np.float32)
    basis = rng.standard_normal((_FEATURES, _COLUMNS), dtype=np.float32)

    def panel() -> Work:  # as `refold.engine.triangle` forms it
        out = np.empty((_PANEL, _FEATURES), np.float32)
        return lambda: np.matmul(rows[:, :_PANEL].T, rows, out=out)

    def thin() -> Work:
        out = np.empty((_ROWS, _COLUMNS), np.float32)
        return lambda: np.matmul(rows, basis, out=out)

    def copying() -> Work:
        source, target = np.zeros((2, _COPY_VALUES), np.float32)
        return lambda: np.copyto(target, source)

    with threadpool_limits(limits=1, user_api="blas"):
        figures = {
            "multiply": _per_second(panel, 2.0 * rows.size * _PANEL),
            "thin": _per_second(thin, 2.0 * rows.size * _COLUMNS),
            "memory": _per_second(copying, 8.0 * _COPY_VALUES),
            "decode": _decoding(rng),
        }
    return Rates(**{name: float(f"{value:.{_SIGNIFICANT}g}") for name, value in figures.items()})


def _decoding(rng: np.random.Generator) -> float:
    """Of counts as diffraction patterns and spectra have them: small, with some large ones."""
    from numcodecs.blosc import Blosc

    counts = rng.poisson(rng.gamma(0.3, 20, (64, 8192))).astype(np.uint32)
    codec = Blosc(cname="lz4", clevel=1, shuffle=Blosc.BITSHUFFLE)
    encoded = codec.encode(counts)

    def decoding() -> Work:
        out = np.empty_like(counts)
        return lambda: codec.decode(encoded, out)

    return _per_second(decoding, float(counts.nbytes))


def _per_second(prepare: Callable[[], Work], amount: float) -> float:
    """Amount a second and core, the best of a few tries: what disturbs only slows."""
    cores = n_cores()

    def tries(_: int) -> float:
        work = prepare()
        work()  # first use pays for memory and for code
        best = float("inf")
        for _ in range(_REPEATS):
            start = time.perf_counter()
            work()
            best = min(best, time.perf_counter() - start)
        return best

    with ThreadPoolExecutor(cores) as pool:
        return amount / float(np.median(list(pool.map(tries, range(cores)))))


def _machine_key() -> str:
    """What the rates depend on: processor, cores, NumPy and its BLAS."""
    blas = sorted(f"{found.get('internal_api')} {found.get('version')}" for found in threadpool_info())
    parts = [_VERSION, _processor(), n_cores(), np.__version__, *blas]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _read(path: Path) -> Rates | None:
    """The rates kept there; None if there are none, or none that make sense."""
    try:
        rates = Rates(**{name: float(value) for name, value in json.loads(path.read_text(encoding="utf-8")).items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return rates if all(0 < value < float("inf") for value in asdict(rates).values()) else None


def _may_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _keep(path: Path, rates: Rates) -> None:
    """Write the rates, whole or not at all; those of another process that was quicker stay, unless they are broken."""
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".json", delete=False) as file:
            json.dump(asdict(rates), file)
        written = Path(file.name)
        if _read(path) is None:
            written.replace(path)
        else:
            written.unlink()
    except OSError:
        return  # a full disk, say: there is nothing kept then, which the reader sees
