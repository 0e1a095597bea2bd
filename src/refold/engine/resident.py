"""Resident memory of this process: what it is, and how high it went."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

import psutil

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def resident_memory() -> int:
    """Bytes of this process that are in memory now."""
    return int(psutil.Process().memory_info().rss)


def release_memory() -> None:
    """Give memory that was freed back to the system, where the C library can (glibc); else the process keeps it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def reset_peak() -> None:
    """Let `peak_memory` count from now, where the system can (Linux); elsewhere it counts from the process's start."""
    if _RESET.exists():
        try:
            _RESET.write_text("5")
        except OSError:
            return  # not allowed in this container: the peak then counts from the start of the process


def peak_memory() -> int:
    """Highest resident memory of this process in bytes, since `reset_peak`."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
