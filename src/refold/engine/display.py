"""The live progress bar: stage, blocks, GB/s, time left. Quiet where nobody looks, which is not a terminal."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from refold.engine.progress import Progress


def _bar() -> Bar:
    return Bar(
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("blocks"),
        TextColumn("{task.fields[rate]:5.2f} GB/s"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=False,
    )


@dataclass
class DisplayedProgress(Progress):
    """Draws each sweep as a bar on standard error.

    Parameters
    ----------
    bar : rich.progress.Progress
        What draws.
    """

    bar: Bar = field(default_factory=_bar, repr=False)
    _task: TaskID | None = None
    _bytes: int = 0

    def start(self, label: str, n_blocks: int, n_bytes: int) -> None:
        """Begin a bar."""
        super().start(label, n_blocks, n_bytes)
        self._bytes = 0
        self._task = self.bar.add_task(label, total=n_blocks, rate=0.0)
        self.bar.start()

    def advance(self, blocks: int, n_bytes: int, chunks_read: int) -> None:
        """Move the bar."""
        super().advance(blocks, n_bytes, chunks_read)
        self._bytes += n_bytes
        if self._task is not None:
            elapsed = self.bar.tasks[self._task].elapsed or 0
            rate = self._bytes / elapsed / 1e9 if elapsed else 0.0
            self.bar.update(self._task, advance=blocks, rate=rate)

    def relabel(self, label: str) -> None:
        """Call the bar something else."""
        if self._task is not None:
            self.bar.update(self._task, description=label)

    def stop(self) -> None:
        """Leave the bar as it is."""
        super().stop()
        self.bar.stop()


def progress_for_terminal() -> Progress:
    """A bar if standard error is a terminal, a silent tally else."""
    return DisplayedProgress() if sys.stderr.isatty() else Progress()
