"""What the page asks for beside drawing: the mean signal of whatever is selected, read in the background."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.engine.progress import Progress
from refold.errors import RefoldError
from refold.explore.background import Background
from refold.explore.choice import Choice
from refold.explore.explorer import Explorer
from refold.explore.model import Model

if TYPE_CHECKING:
    from refold.explore.signals import MeanSignal, MeanSignals

_PIXELS = 1 << 22  # of a thinned run that are looked at at once
_FROM = {
    "clusters": "from the clusters' means",
    "features": "read from the run",
    "scan": "read from the scan",
}


class Sources:
    """Where mean signals of a run are read from; one for all pages of it.

    Parameters
    ----------
    scan : xarray.DataArray or xarray.Dataset, optional
        What the run was made of, where it cannot be found by itself.
    memory : int or str, optional
        Bytes for what is read at once.
    """

    def __init__(self, scan: Any = None, memory: int | str | None = None) -> None:
        self.scan = scan
        self.memory = memory
        self._lock = Lock()
        self._known: dict[str, MeanSignals] = {}

    def of(self, run: xr.Dataset, fingerprint: str) -> MeanSignals:
        """The signals of the run, as it was opened with labels of one fingerprint."""
        from refold.explore.signals import MeanSignals  # what prepares scans takes long to import

        with self._lock:
            if fingerprint not in self._known:
                self._known[fingerprint] = MeanSignals(run, self.scan, memory=self.memory)
            return self._known[fingerprint]


class Hearing:
    """Reads the mean signal of what is selected on a page, and shows it there.

    Parameters
    ----------
    explorer : Explorer
        The page.
    sources : Sources
        Where signals come from.
    into_page : callable, optional
        See `Background`: what was read is shown in the thread of the page, so that nothing is selected meanwhile.
    """

    def __init__(
        self, explorer: Explorer, sources: Sources, into_page: Callable[[Callable[[], None]], Any] | None = None
    ) -> None:
        self.explorer = explorer
        self.sources = sources
        self.background = Background(into_page)
        explorer.on_selection(self._heard)

    def close(self) -> None:
        """End with the page."""
        self.background.close()
        self.explorer.close()

    def _heard(self, choice: Choice | None) -> None:
        if choice is None or not choice.pixels:
            self.background.cancel()
            self.explorer.progress(0, 0)
            return
        model = self.explorer.model
        run, fingerprint, where = model.run, model.fingerprint, _where(model, choice)

        def read(progress: Progress) -> MeanSignal:
            signals = self.sources.of(run, fingerprint)
            selected = where(progress)
            return signals.at_once(selected) or signals.read(selected, progress)

        self.background.ask(read, done=self._show, failed=self._failed, told=self.explorer.progress)

    def _show(self, found: MeanSignal) -> None:
        pixels = "1 pixel" if found.size == 1 else f"{found.size} pixels"
        several = len(found.mean) > 1
        signal = xr.Dataset(dict(found.mean)) if several else next(iter(found.mean.values()))
        self.explorer.progress(1, 1)
        self.explorer.show_signal(signal, f"mean of {pixels}, {_FROM[found.origin]}", found.size)

    def _failed(self, error: BaseException) -> None:
        self.explorer.progress(1, 1)
        if not isinstance(error, RefoldError | OSError | ValueError | MemoryError):
            raise error
        self.explorer.say(f"The mean signal could not be read: {error}", error=True)


def _where(model: Model, choice: Choice) -> Callable[[Progress], npt.NDArray[np.bool_]]:
    """What finds the selected pixels of the whole grid; of a run that is held thinned it has to be read for that."""
    rows, shape = model.rows, model.rows.thinning.sizes
    if rows.thinning.step == 1:
        mask = np.zeros(int(np.prod(shape)), bool)
        mask[rows.flat[choice.mask & rows.usable]] = True
        return lambda progress: mask.reshape(shape)
    labels = model.edits.labels() if choice.clusters else None
    positions = model.edits.embedding if choice.selection is not None else None

    def find(progress: Progress) -> npt.NDArray[np.bool_]:
        found = np.ones(shape, bool)
        each = max(1, _PIXELS // max(1, found[0].size))
        for first in range(0, shape[0], each):
            progress.advance(0, 0, 0)  # ends here where nobody waits any more
            part = slice(first, first + each)
            flat = np.arange(first * found[0].size, min(shape[0], first + each) * found[0].size, dtype=np.int64)
            if labels is not None:
                found[part] &= np.isin(labels[part].values, choice.clusters)
            if choice.selection is not None:
                held = np.empty((flat.size, 0), np.float32) if positions is None else positions[part].values
                inside = choice.selection.mask(held.reshape(flat.size, -1), flat, shape)
                found[part] &= inside.reshape(found[part].shape)
        return found

    return find
