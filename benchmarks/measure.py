"""Contenders in alternation: each in a child process of its own, all in one tree, round after round.

A contender is warm: its process imports, compiles and opens before the clock starts, does the work once on a smaller
case where the group has one, and stays for all rounds. One that is `fresh` gets a new process every round instead, and
its clock covers imports and compiling as well: that is what a person waits for. Between runs a child sleeps.

Ratios are taken within a round and then the median of all rounds, so that a machine that slows down for a while slows
both sides of the ratio.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import IO, Any

from benchmarks.machine import installed

ROOT = Path(__file__).resolve().parents[1]
_PATH = re.compile(r"(?:/[^/\s'\"]+){2,}")  # no page names a folder of this machine
Case = dict[str, Any]  # what is to be done, ready for JSON: paths, sizes, options
Work = Callable[[], Any]


class NotThereYetError(Exception):
    """What a contender's setup raises where the thing to measure does not exist."""


@dataclass(frozen=True)
class Contender:
    """One way of doing a group's work.

    `setup(case)` runs off the clock and returns the work; `facts(case, result)` runs off the clock too, after the work,
    and tells what else is known of the result, ready for JSON.
    """

    title: str
    setup: Callable[[Case], Work]
    needs: tuple[str, ...] = ()
    facts: Callable[[Case, Any], dict[str, Any]] | None = None
    fresh: bool = False
    slow: bool = False  # of minutes: may be given fewer rounds


@dataclass
class Runs:
    """What came of a contender: its samples in the order of the rounds, or why there are none."""

    title: str
    samples: list[dict[str, Any]] = field(default_factory=list)
    missing: str = ""

    def all(self, name: str) -> list[Any]:
        return [sample[name] for sample in self.samples if sample.get(name) is not None]

    def median(self, name: str = "seconds") -> float | None:
        found = self.all(name)
        return median(found) if found else None

    def ratio(self, other: Runs) -> float | None:
        """Median over the rounds that both ran of how many times longer this one took."""
        pairs = list(zip(self.all("seconds"), other.all("seconds"), strict=False))
        return median(mine / theirs for mine, theirs in pairs) if pairs else None


class Child:
    """The process of one contender: it gets ready on its own, and then waits to be told."""

    def __init__(self, module: str, key: str, case: Case, warm: Case | None) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.child", module, key]
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        self.process = subprocess.Popen(
            [*command, json.dumps(case), json.dumps(warm)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=ROOT,
        )  # fmt: skip
        self.answered: dict[str, Any] | None = None

    def ready(self) -> dict[str, Any]:
        """Wait until it is; says ``missing`` with the reason where it never will be."""
        if self.answered is None:
            self.answered = self._told()
        return self.answered

    def run(self) -> dict[str, Any]:
        """Do the work once; says ``missing`` with the reason where it failed."""
        assert self.process.stdin is not None
        if "missing" in self.ready():
            return self.ready()
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return self._told()

    def _told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            told: dict[str, Any] = json.loads(line)
            return told
        self.process.wait()
        self.errors.seek(0)
        words = self.errors.read().decode(errors="replace").strip().splitlines() or [
            f"ended: {self.process.returncode}"
        ]
        return {"missing": f"failed ({_PATH.sub('…', words[-1])[:120]})"}

    def close(self) -> None:
        """Let it go: the end of its input is the end of it."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self.process.wait()
        self.errors.close()


def alternate(
    module: str,
    keys: Iterable[str],
    case: Case,
    *,
    rounds: int,
    slow_rounds: int | None = None,
    warm: Case | None = None,
) -> dict[str, Runs]:
    """Let each contender of a module do a case once, then each again, so many rounds; first `warm`, off the clock."""
    known: Mapping[str, Contender] = import_module(module).CONTENDERS
    found = {key: Runs(known[key].title, missing=_absent(known[key])) for key in keys}
    children: dict[str, Child] = {}
    try:
        for key in (key for key in found if not known[key].fresh and not found[key].missing):
            children[key] = Child(module, key, case, warm)
        for child in children.values():  # they get ready side by side: nobody is timed yet
            child.ready()
        for number in range(rounds):
            for key, runs in found.items():
                over = known[key].slow and slow_rounds is not None and number >= slow_rounds
                if not over and not runs.missing:
                    child = children[key] if key in children else Child(module, key, case, None)
                    _record(runs, child.run())
                    if known[key].fresh:
                        child.close()
    finally:
        for child in children.values():
            child.close()
    return found


def _absent(contender: Contender) -> str:
    names = [package for package in contender.needs if installed(package) is None]
    return f"{', '.join(names)} not installed" if names else ""


def _record(runs: Runs, sample: dict[str, Any]) -> None:
    runs.missing = sample.get("missing", "")
    if not runs.missing:
        runs.samples.append(sample)
        print(f"  {runs.title}: {sample['seconds']:.2f} s", file=sys.stderr, flush=True)
