"""The page: figures beside each other, a bar of edits above, the clusters at the side, what happens below."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from refold.errors import MissingDependencyError, RefoldError
from refold.explore.controls import markup, plain, select, text
from refold.explore.hover import described
from refold.explore.latent_view import LatentView
from refold.explore.leaving import Leaving
from refold.explore.map_view import MapView
from refold.explore.side import Side
from refold.explore.signal_view import SignalView
from refold.explore.style import FIELD, ROOT, variables
from refold.explore.toolbar import Toolbar
from refold.explore.watching import UNSAVED, Soon, keys_of
from refold.report.words import count, plural
from refold.store import OWN, RunStore, saved_names

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["Page"]

_GAP = {"gap": "10px"}


class Page:
    """The page of a model.

    Parameters
    ----------
    model : Model
    theme : {"light", "dark"}, optional
        By default as the browser likes it.

    Raises
    ------
    MissingDependencyError
        If Panel is not installed.
    """

    def __init__(self, model: Model, theme: str | None = None) -> None:
        try:
            import panel as pn
        except ImportError as error:
            raise MissingDependencyError(
                "no Panel", "the package that makes pages", "pip install 'refold[explore]'"
            ) from error
        self.model, self.theme = model, theme or "light"
        self.document = pn.state.curdoc
        self._thread = threading.get_ident()
        later = Soon(self.document)
        self.toolbar = Toolbar(model, self._guarded)
        self.leaving = Leaving(model, self._guarded, self.toolbar.store, self._title)
        self.latent = LatentView(model, self.theme, later, self._over_latent)
        self.map = MapView(model, self.theme, later, self._over_map)
        self.signal = SignalView(model, self.theme, later, self._guarded)
        self.side = Side(model, self._guarded)
        self.status = text("p", "", css_classes=["status"], sizing_mode="stretch_width")
        self.bar = text("p", "", css_classes=["progress"], width=150)
        self.readings = {name: text("h2", "", sizing_mode="stretch_width") for name in ("latent", "map")}
        self.header = pn.Row(sizing_mode="stretch_width", styles={"gap": "8px", "align-items": "center"}, margin=0)
        self.main = pn.Row(sizing_mode="stretch_both", styles=_GAP, margin=0)
        foot = pn.Row(self.status, self.bar, sizing_mode="stretch_width", height=20, margin=0)
        self.view: Any = pn.Column(
            self.header, self.toolbar.view, self.toolbar.conflict.view, self.leaving.view, self.main, foot,
            sizing_mode="stretch_both", min_height=560, css_classes=["refold"], margin=0,
            stylesheets=[ROOT, variables(self.theme)],
        )  # fmt: skip
        self.keys = keys_of(self.map.figure, self._pressed, None if theme else self.dress)
        self._begin()
        model.drawing.ready()
        model.watch(self._heard)

    def close(self) -> None:
        """Draw nothing any more."""
        self.model.forget(self._heard)

    # --- layout -------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Lay out the page of another run, or clustering."""
        import panel as pn

        self._title()
        latent = self._framed("latent", self.latent.figure if self.model.drawing.has_latent else None)
        phases = self._framed("map", self.map.figure)
        upper = pn.Row(latent, phases, sizing_mode="stretch_both", styles=_GAP, margin=0)
        left = pn.Column(upper, self.signal.view, sizing_mode="stretch_both", styles=_GAP, margin=0)
        self.main.objects = [left, self.side.view]
        self._point("latent", None)
        self._point("map", None)
        self._offer()
        self._tell()

    def _title(self) -> None:
        """Say what is open, and offer what else there is."""
        self.header.objects = self._head()

    def _offer(self) -> None:
        """Offer what can be done now, and let the browser ask before it throws away what was not saved."""
        self.toolbar.show()
        self.keys.tags = [] if self.model.edits.saved else [UNSAVED]

    def _framed(self, name: str, figure: Any) -> Any:
        import panel as pn

        if figure is None:
            body = text("p", "This run has neither an embedding nor scores of each pixel; select on the map.")
        else:
            body = pn.pane.Bokeh(figure, sizing_mode="stretch_both", min_height=150, margin=0)
        return pn.Column(self.readings[name], body, sizing_mode="stretch_both", css_classes=[name], margin=0)

    def _head(self) -> list[Any]:
        import panel as pn

        model = self.model
        store = RunStore.open(model.path)
        dark = pn.widgets.Checkbox(label="dark", value=self.theme == "dark", margin=(5, 0), stylesheets=[FIELD])
        dark.param.watch(lambda event: self.dress("dark" if event.new else "light"), "value")
        made = [text("h1", model.path.name, sizing_mode="stretch_width", min_width=100)]
        names = [OWN, *saved_names(store.note)]
        if len(names) > 1:
            shown = select("", names, model.clustering or OWN, 150, css_classes=["clustering"])
            shown.param.watch(self._guarded(lambda event: self.leaving.open(event.new, model.edits.name)), "value")
            made += [text("p", "clustering", align="center"), shown]
        edits = sorted({model.edits.name, *model.names()})
        self.named = select("", edits, model.edits.name, 130, css_classes=["edits"])
        self.named.param.watch(self._guarded(lambda event: self.leaving.open(model.clustering, event.new)), "value")
        return [*made, text("p", "edits", align="center"), self.named, dark]

    def dress(self, theme: str) -> None:
        """Take the colours of a theme."""
        if theme == self.theme:
            return
        self.theme = theme
        self.view.stylesheets = [ROOT, variables(theme)]
        for view in (self.latent, self.map, self.signal):
            view.dress(theme)
        self._title()

    # --- what happens -------------------------------------------------------------------------------------------------

    def _guarded(self, does: Callable[..., None]) -> Callable[..., None]:
        """Tell errors in the status line, and do what Panel's controls want as Bokeh's do: with the document locked."""

        def guarded(*args: Any) -> None:
            try:
                does(*args)
            except RefoldError as error:
                self.model.say(plain(error, self.model.path), error=True)

        @wraps(does)
        def scheduled(*args: Any) -> None:
            if self.served:
                self.document.add_next_tick_callback(lambda: guarded(*args))
            else:
                guarded(*args)

        return scheduled

    @property
    def served(self) -> bool:
        """Whether a server holds the page, whose document is changed in one thread only."""
        return self.document is not None and self.document.session_context is not None

    def _heard(self, what: str) -> None:
        """Do what a change of the model wants, in the thread of the page."""
        work = getattr(self, f"_on_{what}")
        if threading.get_ident() == self._thread or not self.served:
            work()
        else:
            self.document.add_next_tick_callback(work)

    def _on_run(self) -> None:
        for view in (self.latent, self.map, self.signal, self.side):
            view.begin()
        self._begin()

    def _on_edits(self) -> None:
        if self.map.version == self.model.pieces.version:
            self.map.paint()
        else:
            self.map.draw()
        self.latent.draw()
        self.side.list.fill()
        self._offer()
        if self.named.value != self.model.edits.name:  # saved under another name
            self._title()

    def _on_choice(self) -> None:
        choice = self.model.choice
        on_map = choice is not None and getattr(choice.selection, "space", None) == "map"
        for view in (self.latent, self.map) if on_map else (self.map, self.latent):  # that which is looked at now first
            view.light()
        if self.model.options.alone:
            self.map.paint()
            self.latent.paint()
        if self.served:  # what is lit goes out first: buttons that change make the browser lay out the page
            self.document.add_next_tick_callback(self._follow_choice)
        else:
            self._follow_choice()

    def _follow_choice(self) -> None:
        self.side.list.tick()
        self.toolbar.show()
        self.toolbar.take()
        self.signal.draw()
        self._tell()

    def _on_options(self) -> None:
        changed = self.model.changed
        if changed in {"slice"}:
            self.map.draw()
        if changed in {"alone"}:
            self.map.paint()
            self.latent.paint()
        if changed == "dims":
            self.latent.begin()
        if changed == "share":
            self.latent.draw()
        if changed == "ground":
            self._lay()
        if changed == "opacity":
            self.map.fade()

    def _lay(self) -> None:
        """Lay an image under the map; what takes long to read is read beside the page."""
        if not (self.served and self.model.drawing.must_read):
            self.map.lay()
            return
        drawing, name = self.model.drawing, self.model.options.ground
        self.model.say(f"Reading {name} …")

        def read() -> None:
            try:
                grey = drawing.grounds[name].grey()
            except (RefoldError, OSError) as error:
                self.model.say(plain(error, self.model.path), error=True)
            else:
                self.document.add_next_tick_callback(lambda: was_read(grey))

        def was_read(grey: Any) -> None:
            if self.model.drawing is drawing and self.model.options.ground == name:  # is wanted still
                drawing.keep(name, grey)
                self.map.lay()
                self._tell()

        threading.Thread(target=read, daemon=True).start()

    def _on_signal(self) -> None:
        self.signal.draw()

    def _on_progress(self) -> None:
        reading = self.model.reading
        share = reading.done / reading.total if reading.total > 0 else 1.0
        bar = f'<div class="bar"><i style="width: {100 * min(share, 1.0):.0f}%"></i></div>'
        self.bar.object = bar if share < 1 else ""

    def _on_message(self) -> None:
        said, error = self.model.message
        self.status.object = markup("p", said, kind="wrong" if error else "")

    def _tell(self) -> None:
        """Say in the status line what is selected, and what is shown."""
        model = self.model
        step = model.rows.thinning.step
        part = f" Every {step}th row and column is shown; edits apply to all pixels." if step > 1 else ""
        if model.choice is None:
            said = f"{plural(len(model.clusters), 'cluster')}, {count(len(model.rows) * step * step)} pixels." + part
        else:
            of = f" of {plural(len(model.chosen), 'ticked cluster')}" if model.chosen else ""
            said = f"{plural(model.choice.pixels, 'pixel')}{of} selected. Esc clears the selection." + part
        self.status.object = markup("p", said)

    # --- pointing and keys --------------------------------------------------------------------------------------------

    def _over_latent(self, place: tuple[float, float] | None) -> None:
        row = None if place is None else self.model.drawing.row_at(*place)
        self._point("latent", row)
        self.map.point(None if row is None else self.model.drawing.pixel_of(row))

    def _over_map(self, place: tuple[float, float] | None) -> None:
        row = None
        if place is not None:
            row = self.model.rows.thinning.row_of(self.model.options.slice, place[1], place[0])
        self._point("map", row)
        self.latent.point(None if row is None else self.model.drawing.place_of(row))

    def _point(self, name: str, row: int | None) -> None:
        title = "Latent space" if name == "latent" else "Map"
        if row is None:
            self.readings[name].object = markup("h2", title)
            return
        found = described(self.model, row)
        dot = f'<i class="dot" style="background: {found.colour}"></i>'
        self.readings[name].object = markup("h2", title, found.text).replace("<span>", f"<span>{dot}", 1)

    def _pressed(self, key: str) -> None:
        does = {"undo": self.model.undo, "redo": self.model.redo, "clear": self.model.clear}[key]
        self._guarded(does)()
