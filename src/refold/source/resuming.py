"""What a conversion has done so far, so that one that was killed goes on: a line for each block that is written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from refold.engine import Block, Where, ZarrWriter
from refold.errors import ParameterError, StoreError
from refold.planning import Grid
from refold.source.checksums import Checksums, Sums

_ANEW = "begin anew without resume"


class Journal:
    """The blocks that are written, each with its share of the checksums.

    Parameters
    ----------
    path : Path
        A file; what it holds is read.
    told : mapping
        What is converted, and how; JSON-ready.

    Raises
    ------
    ParameterError
        If the file is of another scan, or other options.
    StoreError
        If it cannot be read.

    Notes
    -----
    A line is added after its block is written. A last line that was cut off counts for nothing: its block is written
    again, to the same bytes.
    """

    def __init__(self, path: Path, told: Mapping[str, Any]) -> None:
        self.path, self._lock = path, Lock()
        self._done: dict[str, dict[str, dict[str, int]]] = {}
        self._told, self.way = told, dict[str, Any]()
        if not path.exists():
            return
        text = path.read_bytes()
        whole = text.rfind(b"\n") + 1
        entries = _entries(text[:whole], path)
        for first in entries[:1]:
            _check_same(first["told"], json.loads(json.dumps(told)), path)
            self.way = first["way"]
        for entry in entries[1:]:
            self._done.setdefault(entry["pass"], {})[entry["block"]] = entry["sums"]
        if whole < len(text):  # only what was cut off goes: a kill here costs nothing
            os.truncate(path, whole)

    def begin(self, way: Mapping[str, Any]) -> None:
        """Note how it is done, once."""
        if not self.way:
            self.way = dict(way)
            self._write({"told": self._told, "way": self.way})

    def done(self, step: str) -> Mapping[str, Mapping[str, int]]:
        """Blocks that a pass has written, by where they begin, each with its sums by tile."""
        return self._done.get(step, {})

    def note(self, step: str, block: str, sums: dict[str, int]) -> None:
        """Note a block that is written."""
        with self._lock:
            self._done.setdefault(step, {})[block] = sums
            self._write({"pass": step, "block": block, "sums": sums})

    def sums(self, step: str, counts: tuple[int, ...]) -> Sums:
        """Sum of each tile, of all blocks of a pass."""
        total = np.zeros(counts, np.uint64)
        for sums in self.done(step).values():
            places = np.array([int(tile) for tile in sums], np.int64)
            np.add.at(total.reshape(-1), places, np.array(list(sums.values()), np.uint64))
        return total

    def _write(self, entry: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _entries(text: bytes, path: Path) -> list[dict[str, Any]]:
    """Entries of a journal, of which each has what it must have."""
    try:
        entries = [json.loads(line) for line in text.splitlines()]
        for at, entry in enumerate(entries):
            _ = [entry[key] for key in (("pass", "block", "sums") if at else ("told", "way"))]
    except (ValueError, KeyError, TypeError) as error:  # not JSON, not text, or not of a journal
        found = f"a journal that cannot be read, {path} ({error})"
        raise StoreError(found, "what a conversion has done so far", _ANEW) from error
    return entries


def _flat(told: Mapping[str, Any]) -> dict[str, Any]:
    """What is told, each entry by its name, those of a mapping by two names."""
    found: dict[str, Any] = {}
    for name, value in told.items():
        found |= {f"{name} {key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
    return found


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    found, told = _flat(before), _flat(now)
    other = [name for name in sorted({*found, *told}) if found.get(name) != told.get(name)]
    if other:
        raise ParameterError(
            "a conversion that was begun with " + ", ".join(f"{name} {found.get(name)}" for name in other),
            ", ".join(f"{name} {told.get(name)}" for name in other),
            f"go on as it was begun, or without resume, which begins anew; what is done is in {path.parent}",
        )


@dataclass(frozen=True)
class RestOfGrid(Grid):
    """A grid of which some blocks are done.

    Parameters
    ----------
    runs : tuple of range
        Blocks of each partition.
    """

    runs: tuple[range, ...] = ()

    def partition(self, index: int) -> range:
        """Blocks of a partition."""
        return self.runs[index]


def rest_of(grid: Grid, done: Mapping[str, Any]) -> Grid | None:
    """What of a grid is left to do; None if nothing is."""
    if not done:
        return grid
    runs = []
    for index in range(grid.n_partitions):
        left = [at for at in grid.partition(index) if block_name([start for start, _ in grid.block(at)]) not in done]
        for _, run in groupby(enumerate(left), lambda pair: pair[1] - pair[0]):
            members = [at for _, at in run]
            runs.append(range(members[0], members[-1] + 1))
    return RestOfGrid(grid.edges, len(runs), runs=tuple(runs)) if runs else None


def check_there(*paths: Path) -> None:
    """Refuse to go on where something that was begun is gone.

    Raises
    ------
    StoreError
        If one of the paths is not there.
    """
    for path in paths:
        if not path.exists():
            raise StoreError(f"no {path}, which was begun", "what was written so far", _ANEW)


def block_name(starts: list[int]) -> str:
    """A block by where it begins."""
    return ",".join(map(str, starts))


class NotedWriter:
    """Visitor: writes each block, and notes that it is written.

    Parameters
    ----------
    writer : ZarrWriter
        What writes.
    checksums : Checksums
        What adds up.
    journal : Journal
        Where it is noted.
    step : str
        Name of the pass.
    """

    def __init__(self, writer: ZarrWriter, checksums: Checksums, journal: Journal, step: str) -> None:
        self.writer, self.checksums, self.journal, self.step = writer, checksums, journal, step

    def start(self) -> None:
        """What is kept is in the journal."""

    def visit(self, state: None, block: Block, where: Where) -> None:
        """Write a block, then say so."""
        tiles, sums = self.checksums.of_block(block, where)
        places, of = np.unique(tiles, return_inverse=True)
        totals = np.zeros(len(places), np.uint64)
        np.add.at(totals, of, sums)
        self.writer.visit(state, block, where)
        noted = {str(place): int(total) for place, total in zip(places, totals, strict=True)}
        self.journal.note(self.step, block_name([part.start for part in where.slices]), noted)

    def merge(self, one: None, other: None) -> None:
        """Nothing to join."""

    def finish(self, state: None) -> None:
        """Everything is written."""
