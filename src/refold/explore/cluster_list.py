"""The list of the clusters: a tick, a swatch, a name and a size each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from refold.explore.style import LIST
from refold.report.colours import NOISE
from refold.report.words import count

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["ClusterList", "Entry", "entries"]

_NOISE_ID = -1


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the list.

    Attributes
    ----------
    id : int
        Of the cluster; -1 for noise.
    name, colour : str
    size : str
        Its pixels; of a run too large to be held, without a count of its own, it begins with ``≈``.
    """

    id: int
    name: str
    colour: str
    size: str


def entries(model: Model) -> list[Entry]:
    """List the clusters as they are now, noise last.

    Parameters
    ----------
    model : Model

    Returns
    -------
    list of Entry
    """
    found = [Entry(one.id, one.name, one.colour, _size(model, one.id, one.size)) for one in model.clusters]
    if model.counts.get(_NOISE_ID):
        found.append(Entry(_NOISE_ID, "noise", NOISE, _size(model, _NOISE_ID, None)))
    return found


def _size(model: Model, cluster: int, known: int | None) -> str:
    held, step = model.counts.get(cluster, 0), model.rows.thinning.step
    if step > 1 and known is None:
        return f"≈ {count(held * step * step)}"
    return count(held if known is None else known)


class ClusterList:
    """The list.

    Parameters
    ----------
    model : Model
    guarded : callable
        Wraps what a tick does, so that errors are told and not lost.
    """

    def __init__(self, model: Model, guarded: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
        import panel as pn
        from bokeh.models import CheckboxGroup, InlineStyleSheet

        self.model = model
        self._shown: list[Entry] = []
        self.swatches = InlineStyleSheet(css="")
        # Bokeh writes labels as text, so that a name that came with somebody's file is never markup.
        self.group = CheckboxGroup(
            name="clusters", css_classes=["clusters"], stylesheets=[InlineStyleSheet(css=LIST), self.swatches],
            sizing_mode="stretch_both",
        )  # fmt: skip
        self.view: Any = pn.pane.Bokeh(self.group, sizing_mode="stretch_both", min_height=120, margin=0)
        self.group.on_change("active", guarded(self._ticked))

    def fill(self) -> None:
        """Show the clusters as they are now."""
        self._shown = entries(self.model)
        self.group.labels = [entry.name for entry in self._shown]
        self.swatches.css = "\n".join(
            f"label:nth-of-type({place}) {{ --swatch: {entry.colour}; }} "
            f'label:nth-of-type({place})::after {{ content: "{entry.size}"; }}'
            for place, entry in enumerate(self._shown, 1)
        )
        self.tick()

    def tick(self) -> None:
        """Tick what is chosen."""
        active = [place for place, entry in enumerate(self._shown) if entry.id in self.model.chosen]
        if sorted(self.group.active) != active:
            self.group.active = active

    def _ticked(self, name: str, old: list[int], new: list[int]) -> None:
        places = {place for place in new if 0 <= place < len(self._shown)}
        if len(places) < len(new):  # what no list has: the browser is told what there is
            self.group.active = sorted(places)
        ids = sorted(self._shown[place].id for place in places)
        if ids != sorted(self.model.chosen):
            self.model.choose(ids)
