"""What a run did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What a run did, for people and for programs.

    Parameters
    ----------
    store : Path
        The run.
    report : Path or None
        Its page.
    stages : mapping
        For each stage its ``seconds`` and whether it was ``reused``.
    chunks_read, bytes_read : int
        Of the scan, in this call.
    peak_memory : int
        Highest resident memory of this process, in bytes.
    seconds : float
        In all.
    forecast : mapping
        The ``peak_memory`` and ``seconds`` that were expected before the run began.
    clusters : int
        Clusters found.
    noise : float
        Share of the pixels that belong to none.
    """

    store: Path
    report: Path | None
    stages: Mapping[str, Mapping[str, Any]]
    chunks_read: int
    bytes_read: int
    peak_memory: int
    seconds: float
    forecast: Mapping[str, float]
    clusters: int
    noise: float

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        named = {"store": str(self.store), "report": str(self.report) if self.report else None}
        return {**vars(self), **named, "ari": None}
