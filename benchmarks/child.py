"""The process of one contender: `python -m benchmarks.child MODULE KEY CASE WARM`, and a line on stdin for each run."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.measure import Contender, NotThereYetError, Work

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident(which: str = "VmRSS") -> int:
    """Bytes of this process in memory now, or at most since `reset_peak` (VmHWM)."""
    if _STATUS.exists():
        lines = [line for line in _STATUS.read_text().splitlines() if line.startswith(f"{which}:")]
        return int(lines[0].split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def reset_peak() -> None:
    """Give back what earlier runs left, and count the peak from now (Linux; elsewhere from the process's start)."""
    if _RESET.exists():
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
        _RESET.write_text("5")


def sample(contender: Contender, case: dict[str, Any], work: Work, base: int) -> dict[str, Any]:
    """Run once: seconds on the wall, of all cores, and memory at most above that of the process with its imports."""
    reset_peak()
    cores, start = sum(os.times()[:4]), time.perf_counter()
    result = work()
    seconds, cores = time.perf_counter() - start, sum(os.times()[:4]) - cores
    found = {"seconds": seconds, "cores": cores, "peak": max(0, resident("VmHWM") - base)}
    return {**found, **(contender.facts(case, result) if contender.facts else {})}


def main() -> None:
    module, key, case, warm = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])
    # Whatever a library prints goes to standard error: standard output speaks JSON.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    contender: Contender = import_module(module).CONTENDERS[key]

    def say(what: dict[str, Any]) -> None:
        print(json.dumps(what), file=answers, flush=True)

    try:
        base = resident()
        if not contender.fresh:
            if warm is not None:
                sample(contender, warm, contender.setup(warm), base)
            work = contender.setup(case)
            reset_peak()
            base = resident()
        else:
            work = contender.setup(case)
    except NotThereYetError as error:
        say({"missing": str(error)})
        return
    say({"ready": True})
    for _ in sys.stdin:
        say(sample(contender, case, work, base))


if __name__ == "__main__":
    main()
