"""Buttons, fields and texts of the page, all of one kind."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from refold.explore.style import BUTTON, FIELD, TEXT

__all__ = ["button", "markup", "plain", "select", "slider", "text", "write"]


def text(tag: str, content: str, **options: Any) -> Any:
    """A line of text."""
    import panel as pn

    return pn.pane.HTML(markup(tag, content), stylesheets=[TEXT], margin=0, **options)


def markup(tag: str, content: str, more: str = "", kind: str = "") -> str:
    """HTML of a text, which may be anybody's: names of clusters come from files.

    Examples
    --------
    >>> markup("p", "<b>", kind="wrong")
    '<p class="wrong">&lt;b&gt;</p>'
    """
    marked = f' class="{kind}"' if kind else ""
    aside = f"<span>{escape(more)}</span>" if more else ""
    return f"<{tag}{marked}>{escape(content)}{aside}</{tag}>"


def plain(error: object, run: Path) -> str:
    """An error for people who may not be those whose machine it is: of files in the run it names what lies in there.

    Examples
    --------
    >>> plain("revision 2 at /data/scan.run.zarr/edits/edits.json", Path("/data/scan.run.zarr"))
    'revision 2 at edits.json'
    """
    words = f"{error}".replace("\\", "/")
    return re.sub(rf"{re.escape(run.as_posix())}/([^\s/:,;]+/)*", "", words).replace(run.as_posix(), run.name)


def button(label: str, name: str, hint: str, pressed: Callable[..., None], **options: Any) -> Any:
    """A button, with its name as its CSS class."""
    import panel as pn
    from bokeh.models import InlineStyleSheet, Tooltip

    aside = InlineStyleSheet(css=":host { pointer-events: none; }")  # what lies under it can be pressed
    above = Tooltip(content=hint, position="top", stylesheets=[aside])
    made = pn.widgets.Button(
        label=label, css_classes=[name], stylesheets=[BUTTON], description=above, margin=0, height=28, **options
    )
    made.on_click(pressed)
    return made


def select(label: str, options: list[str] | dict[str, Any], value: Any, width: int, **more: Any) -> Any:
    """A choice of one."""
    import panel as pn

    return pn.widgets.Select(
        label=label, options=options, value=value, width=width, margin=0, stylesheets=[FIELD], **more
    )


def slider(label: str, low: float, high: float, value: Any, step: float, **more: Any) -> Any:
    """A slider; one with two ends where the value has two."""
    import panel as pn

    kind = pn.widgets.RangeSlider if isinstance(value, tuple) else pn.widgets.FloatSlider
    return kind(
        label=label, start=low, end=high, value=value, step=step, margin=(0, 8), stylesheets=[FIELD],
        **{"width": 150, "show_value": bool(label), **more},
    )  # fmt: skip


def write(label: str, hint: str, width: int, **more: Any) -> Any:
    """A field to write a name into."""
    import panel as pn

    return pn.widgets.TextInput(
        label=label, placeholder=hint, width=width, margin=0, max_length=200, stylesheets=[FIELD], **more
    )
