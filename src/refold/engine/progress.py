"""What a sweep tells while it goes: blocks done, chunks read, bytes a second. Here without a display."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock


@dataclass
class Tally:
    """What one or more sweeps did.

    Parameters
    ----------
    sweeps, blocks, tasks : int
        Sweeps begun, blocks visited, tasks run (partitions and merges).
    chunks_read : int
        Leaves of the cubes' graphs that were computed: reads of a chunk.
    bytes_seen : int
        Bytes of the blocks visited.
    """

    sweeps: int = 0
    blocks: int = 0
    tasks: int = 0
    chunks_read: int = 0
    bytes_seen: int = 0


@dataclass
class Progress:
    """Counts what sweeps do. Displays derive from it and override `start`, `advance` and `stop`.

    Parameters
    ----------
    tally : Tally
        Sums since this object was made.
    """

    tally: Tally = field(default_factory=Tally)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def start(self, label: str, n_blocks: int, n_bytes: int) -> None:
        """A sweep begins."""
        with self._lock:
            self.tally.sweeps += 1

    def advance(self, blocks: int, n_bytes: int, chunks_read: int) -> None:
        """Some blocks are done."""
        with self._lock:
            self.tally.blocks += blocks
            self.tally.bytes_seen += n_bytes
            self.tally.chunks_read += chunks_read

    def relabel(self, label: str) -> None:
        """What goes on is now called something else, as in the next epoch of a training."""

    def ran(self, tasks: int) -> None:
        """Some tasks are done."""
        with self._lock:
            self.tally.tasks += tasks

    def stop(self) -> None:
        """The sweep ended, well or not."""
