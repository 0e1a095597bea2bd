"""What the numbers were measured on: cores, memory, versions. Never a path or a name of the machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = (
    "refold", "numpy", "scipy", "numba", "numcodecs", "zarr", "dask", "xarray", "scikit-learn", "umap-learn", "hdbscan",
    "hyperspy", "zarrs", "tensorstore", "dask-ml", "spectral", "fast-hdbscan", "pynndescent",
    "faiss-cpu", "usearch",
)  # fmt: skip


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def installed(package: str) -> str | None:
    """Version of a package, if it is there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def described() -> str:
    """Everything in two lines of Markdown."""
    found = ", ".join(f"{package} {known}" for package in PACKAGES if (known := installed(package)))
    memory = psutil.virtual_memory().total / 1e9
    return (
        f"Measured on {cores()} cores ({processor()}), {memory:.0f} GB of memory, {platform.system()}, "
        f"Python {platform.python_version()}.\n\nVersions: {found}."
    )
