"""The forecast, beside what happened.

`refold plan` says before a run what it will hold in memory and how long it will take; the run then measures both. Each
row is a run in a new process. The promise: peak memory forecast between 1.00 and 1.25 of what was measured, time
within a factor of 1.5.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks import scans
from benchmarks.tables import Table, short
from benchmarks.whole_run import command

BINNED = ("--rebin", "ky=2,kx=2")


class Point(NamedTuple):
    """One point of the grid."""

    kind: str  # which phantom
    side: int
    signal: int
    memory: str
    options: tuple[str, ...] = ()


GRID = (
    Point("diffraction", 64, 64, "200MB", BINNED),
    Point("diffraction", 128, 128, "300MB", BINNED),
    Point("diffraction", 128, 128, "1GB", BINNED),
    Point("diffraction", 128, 128, "1GB"),
    Point("diffraction", 256, 128, "500MB", BINNED),
    Point("diffraction", 256, 128, "2GB", BINNED),
    Point("diffraction", 256, 128, "2GB", (*BINNED, "--embed", "none")),
    Point("diffraction", 256, 128, "2GB", (*BINNED, "--landmarks", "5000")),
    Point("spectra", 128, 2048, "500MB"),
    Point("spectra", 512, 2048, "1GB"),
    Point("reflectance", 250, 173, "500MB"),
    Point("reflectance", 1000, 173, "1GB"),
)
QUICK = (Point("diffraction", 64, 64, "200MB", (*BINNED, "--embed", "none")),)
LARGE = (Point("diffraction", 512, 128, "500MB", BINNED), Point("diffraction", 512, 128, "2GB", BINNED))


def compared(scan: Path, point: Point, folder: Path) -> dict[str, float]:
    """Forecast and run one point of the grid."""
    options = ("--memory", point.memory, "--seed", "0", *point.options)
    place = Path(tempfile.mkdtemp(prefix="forecast-", dir=folder))
    planned = command("plan", str(scan), *(_without_seed(options)))
    ran: dict[str, Any] = command("run", str(scan), "-o", str(place / "scan.run.zarr"), *options)
    shutil.rmtree(place)
    return {
        "planned_memory": planned["peak_memory"],
        "memory": ran["peak_memory"],
        "planned_seconds": planned["seconds"],
        "seconds": ran["seconds"],
    }


def _without_seed(options: tuple[str, ...]) -> tuple[str, ...]:
    """`refold plan` has no seed: nothing that it says depends on one."""
    at = options.index("--seed")
    return options[:at] + options[at + 2 :]


def run(setup: scans.Setup) -> Iterator[Table]:
    rows, shares, factors = [], [], []
    for point in QUICK if setup.quick else (*GRID, *(LARGE if setup.large else ())):
        scan = getattr(scans, point.kind)(setup.folder, point.side, point.signal)
        found = [compared(scan, point, setup.folder) for _ in range(1 if setup.quick else setup.slow_rounds)]
        measured = {name: median(one[name] for one in found) for name in found[0]}
        shares.append(measured["planned_memory"] / max(one["memory"] for one in found))
        factors.append(measured["planned_seconds"] / measured["seconds"])
        name = f"{point.kind} {point.side} x {point.side} x {point.signal}"
        told = (measured["planned_memory"] / 1e9, measured["memory"] / 1e9, shares[-1])
        times = (measured["planned_seconds"], measured["seconds"], factors[-1])
        rows.append([name, point.memory, " ".join(point.options), *map(short, (*told, *times))])
    memory = sum(1 <= share <= 1.25 for share in shares)
    time = sum(1 / 1.5 <= factor <= 1.5 for factor in factors)
    head = ["scan", "--memory", "options", "forecast, GB", "peak, GB", "ratio", "forecast, s", "took, s", "ratio"]
    kept = f"Memory kept its promise in {memory} of {len(rows)} runs, time in {time}."
    yield Table("Forecast / measured", head, rows, kept)
