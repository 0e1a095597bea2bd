"""Events of the browser that come in swarms, thinned before they reach the server, and work that is put off."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from refold.errors import ParameterError, RefoldError

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["UNSAVED", "Canvas", "Soon", "keys_of", "watch_outlines", "watch_pointer"]

UNSAVED = "unsaved"
"""Tag of what `keys_of` gives while leaving the page would lose something."""
_POINTER_EVERY = 60  # milliseconds
_DRAW_EVERY = 40
_FIRST = (480, 420)  # until the browser has drawn anything

_THIN = """
const place = cb_obj.event_name == "mouseleave" ? {x: [], y: []} : {x: [cb_obj.x], y: [cb_obj.y]}
const seen = at.refold_seen ??= {last: 0, timer: 0}
clearTimeout(seen.timer)
const wait = Math.max(0, every - (Date.now() - seen.last))
seen.timer = setTimeout(() => { seen.last = Date.now(); at.data = place }, wait)
"""


def watch_pointer(figure: Any, pointed: Callable[[tuple[float, float] | None], None]) -> None:
    """Call back with the place on a figure that the pointer is at, a few times a second; with None once it leaves."""
    from bokeh.events import MouseLeave, MouseMove
    from bokeh.models import ColumnDataSource, CustomJS

    at = ColumnDataSource({"x": [], "y": []})
    thin = CustomJS(args={"at": at, "every": _POINTER_EVERY}, code=_THIN)
    figure.js_on_event(MouseMove, thin)
    figure.js_on_event(MouseLeave, thin)

    def moved(name: str, old: Any, new: Any) -> None:
        pointed((float(new["x"][0]), float(new["y"][0])) if len(new["x"]) else None)

    at.on_change("data", moved)


def watch_outlines(figure: Any, model: Model, space: Literal["embedding", "map"]) -> None:
    """Select what is drawn around on a figure; what no mouse draws is told of, and selects nothing."""
    from bokeh.events import SelectionGeometry

    def drawn(event: Any) -> None:
        try:
            kind, x, y = _along(event.geometry)
            if kind == "poly":
                model.lasso(x, y, space)
            else:
                model.box(min(x), max(x), min(y), max(y), space)
        except RefoldError as error:
            model.say(f"{error}", error=True)

    figure.on_event(SelectionGeometry, drawn)


def _along(geometry: Any) -> tuple[str, list[float], list[float]]:
    """Kind of an outline, and its corners, or ends, along x and y; who sends it may be anybody."""
    match geometry:
        case {"type": "poly", "x": x, "y": y}:
            kind, along = "poly", (x, y)
        case {"type": "rect", "x0": x0, "x1": x1, "y0": y0, "y1": y1}:
            kind, along = "rect", ((x0, x1), (y0, y1))
        case _:
            raise _no_outline()
    try:
        found = np.array([list(along[0]), list(along[1])], np.float64)
    except (TypeError, ValueError, OverflowError):
        raise _no_outline() from None
    if found.ndim != 2 or not np.isfinite(found).all():
        raise _no_outline()
    return kind, found[0].tolist(), found[1].tolist()


def _no_outline() -> ParameterError:
    return ParameterError("something that is no outline", "a lasso or a box", "draw it with the mouse")


_LISTEN = """
if (window.refold_keys) window.removeEventListener("keydown", window.refold_keys)
window.refold_keys = (event) => {
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.composedPath()[0].tagName ?? "")
      && !/^(checkbox|range|button)$/.test(event.composedPath()[0].type ?? "")) return
  const held = event.ctrlKey || event.metaKey, key = event.key.toLowerCase()
  const name = key == "escape" ? "clear"
    : held && (key == "y" || key == "z" && event.shiftKey) ? "redo" : held && key == "z" ? "undo" : ""
  if (!name) return
  event.preventDefault()
  keys.data = {name: [name], at: [Date.now()]}
}
window.addEventListener("keydown", window.refold_keys)
if (window.refold_leave) window.removeEventListener("beforeunload", window.refold_leave)
window.refold_leave = (event) => { if (keys.tags.includes(unsaved)) event.preventDefault() }
window.addEventListener("beforeunload", window.refold_leave)
if (ask && !keys.refold_asked) {
  keys.refold_asked = true
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches
  if (dark) setTimeout(() => { keys.data = {name: ["dark"], at: [Date.now()]} }, 400)  // once all is drawn
}
"""


def keys_of(figure: Any, pressed: Callable[[str], None], dress: Callable[[str], None] | None) -> Any:
    """Call back when keys are pressed anywhere on the page of a figure but in a field.

    Parameters
    ----------
    figure : bokeh.plotting.figure
        The page listens from the moment that it is drawn.
    pressed : callable
        Told ``"undo"``, ``"redo"`` or ``"clear"``.
    dress : callable, optional
        Told ``"dark"`` once where the browser likes pages dark.

    Returns
    -------
    bokeh.models.Model
        While its tags hold `UNSAVED`, the browser asks before it closes the page or loads it anew.
    """
    from bokeh.models import ColumnDataSource, CustomJS

    keys = ColumnDataSource({"name": [], "at": []})
    listen = CustomJS(args={"keys": keys, "ask": dress is not None, "unsaved": UNSAVED}, code=_LISTEN)
    for size in ("inner_width", "inner_height", "outer_width"):  # whichever is told first once it is drawn
        figure.js_on_change(size, listen)
    figure.x_range.js_on_change("start", listen)

    def heard(attribute: str, old: Any, new: Any) -> None:
        name = new["name"][0]
        if name == "dark" and dress is not None:
            dress(name)
        else:
            pressed(name)

    keys.on_change("data", heard)
    return keys


class Canvas:
    """How large the inside of a figure is drawn, as the browser says once it has.

    Parameters
    ----------
    figure : bokeh.plotting.figure
    changed : callable
        Called when the size has changed.

    Attributes
    ----------
    width, height : int
        In pixels of the page.
    """

    def __init__(self, figure: Any, changed: Callable[[], None]) -> None:
        self.width, self.height = _FIRST
        self._changed = changed
        figure.on_change("inner_width", self._wide)
        figure.on_change("inner_height", self._high)

    def _wide(self, attribute: str, old: Any, new: int) -> None:
        self.width = max(int(new), 1)
        self._changed()

    def _high(self, attribute: str, old: Any, new: int) -> None:
        self.height = max(int(new), 1)
        self._changed()


class Soon:
    """Puts work off for a moment, and does it once however often it is asked for meanwhile.

    Parameters
    ----------
    document : bokeh.document.Document or None
        Whose thread does it; without one it is done at once.
    """

    def __init__(self, document: Any) -> None:
        self._document = document
        self._waiting: set[Callable[[], None]] = set()

    def __call__(self, work: Callable[[], None]) -> None:
        """Do something soon."""
        if self._document is None or self._document.session_context is None:
            work()
        elif work not in self._waiting:
            self._waiting.add(work)
            self._document.add_timeout_callback(lambda: self._do(work), _DRAW_EVERY)

    def _do(self, work: Callable[[], None]) -> None:
        self._waiting.discard(work)
        work()
