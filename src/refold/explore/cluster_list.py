"""The list of the clusters: a tick, a swatch, a name and a size each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refold.explore.style import TABLE
from refold.report.colours import NOISE
from refold.report.words import count

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["ClusterList", "entries"]

_NOISE_ID = -1
# Names come from files that others may have written: <%- %> escapes them, <%= %> would not.
_SWATCH = '<div class="swatch" style="background: <%- value %>"></div>'
_NAME = '<span title="<%- value %>"><%- value %></span>'
_SIZE = '<div class="size"><%- value %></div>'


def entries(model: Model) -> dict[str, list[Any]]:
    """What the list shows: id, colour, name and size of each cluster, noise last.

    Parameters
    ----------
    model : Model

    Returns
    -------
    dict of str to list
        Sizes as texts; of a run too large to be held, without a count of its own, they begin with ``≈``.
    """
    rows = [(cluster.id, cluster.colour, cluster.name, size_of(model, cluster.id)) for cluster in model.clusters]
    if model.counts.get(_NOISE_ID):
        rows.append((_NOISE_ID, NOISE, "noise", size_of(model, _NOISE_ID)))
    columns = list(zip(*rows, strict=True)) if rows else [()] * 4
    return dict(zip(("id", "colour", "name", "size"), map(list, columns), strict=True))


def size_of(model: Model, cluster: int) -> str:
    """Write how many pixels a cluster has."""
    known = {one.id: one.size for one in model.clusters}.get(cluster)
    step = model.rows.thinning.step
    if known is None and step > 1:
        return f"≈ {count(model.counts.get(cluster, 0) * step * step)}"
    return count(model.counts.get(cluster, 0) if known is None else known)


class ClusterList:
    """The list.

    Parameters
    ----------
    model : Model
    """

    def __init__(self, model: Model) -> None:
        from bokeh.models import ColumnDataSource, DataTable, HTMLTemplateFormatter, InlineStyleSheet, TableColumn

        self.model = model
        self._told = False
        self.source = ColumnDataSource(entries(model))
        columns = [
            TableColumn(field=field, title=title, width=width, formatter=HTMLTemplateFormatter(template=template))
            for field, title, width, template in (
                ("colour", "", 26, _SWATCH),
                ("name", "cluster", 118, _NAME),
                ("size", "pixels", 74, _SIZE),
            )
        ]
        self.table = DataTable(
            source=self.source, columns=columns, selectable="checkbox", index_position=None, row_height=26,
            header_row=True, sortable=False, reorderable=False, autosize_mode="none", sizing_mode="stretch_both",
            min_height=120, name="clusters", css_classes=["clusters"], stylesheets=[InlineStyleSheet(css=TABLE)],
        )  # fmt: skip
        self.source.selected.on_change("indices", self._ticked)

    def fill(self) -> None:
        """Show the clusters as they are now."""
        self._told = True
        self.source.data = entries(self.model)
        self._told = False
        self.tick()

    def tick(self) -> None:
        """Tick what is chosen."""
        ids = self.source.data["id"]
        indices = [place for place, number in enumerate(ids) if number in self.model.chosen]
        if sorted(self.source.selected.indices) != indices:
            self._told = True
            self.source.selected.indices = indices
            self._told = False

    def _ticked(self, name: str, old: list[int], new: list[int]) -> None:
        if not self._told:
            ids = self.source.data["id"]
            self.model.choose(ids[place] for place in new if place < len(ids))
