"""Paper and ink of the page: the report's, as CSS variables and as properties of Bokeh's figures."""

from __future__ import annotations

from typing import Any

from refold.report.canvas import THEMES

__all__ = ["BUTTON", "FIELD", "FIGURE", "FONT", "LIST", "ROOT", "TEXT", "dress", "variables", "veil"]

_SHADES = {"light": ("#f6f8fa", "#0969da", "#b3261e"), "dark": ("#161b22", "#4493f8", "#ff7b72")}
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
"""Of all texts."""


def variables(theme: str) -> str:
    """Colours of a theme, to be inherited by all that stands on the page."""
    look, (wash, accent, wrong) = THEMES[theme], _SHADES[theme]
    return (
        f":host {{ --paper: {look.paper}; --ink: {look.ink}; --muted: {look.muted}; --line: {look.line}; "
        f"--wash: {wash}; --accent: {accent}; --wrong: {wrong}; color-scheme: {theme}; "
        "background: var(--paper); color: var(--ink); }"
    )


ROOT = f"""
:host {{ font-family: {FONT}; font-size: 13px; padding: 10px 14px 6px; box-sizing: border-box; gap: 8px; }}
"""

TEXT = f"""
:host {{ font-family: {FONT}; color: var(--ink); margin: 0; }}
h1 {{ font-size: 15px; font-weight: 600; margin: 0; letter-spacing: .01em; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }}
h1 span {{ font-weight: 400; color: var(--muted); }}
h2 {{ font-size: 12px; font-weight: 600; margin: 0; color: var(--ink); white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }}
h2 span {{ font-weight: 400; color: var(--muted); padding-left: 6px; }}
p {{ margin: 0; color: var(--muted); font-size: 12px; line-height: 1.35; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }}
p.wrong {{ color: var(--wrong); white-space: normal; }}
.bar {{ height: 3px; border-radius: 2px; background: var(--line); overflow: hidden; width: 140px; }}
.bar i {{ display: block; height: 100%; background: var(--accent); transition: width .15s; }}
.dot {{ display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 5px; }}
"""

BUTTON = f"""
:host {{ margin: 0; }}
.bk-btn, .bk-btn-default {{ font-family: {FONT}; font-size: 12px; line-height: 1; padding: 6px 10px;
  color: var(--ink) !important; background: var(--wash) !important; border: 1px solid var(--line) !important;
  border-radius: 6px; box-shadow: none; height: 28px; }}
.bk-btn:hover {{ border-color: var(--muted) !important; }}
.bk-btn:disabled, .bk-btn[disabled] {{ opacity: .4; }}
.bk-btn.bk-btn-primary {{ background: var(--accent) !important; color: #fff !important;
  border-color: transparent !important; }}
.bk-btn.bk-btn-primary:hover {{ filter: brightness(1.08); }}
"""

FIELD = f"""
:host {{ margin: 0; font-family: {FONT}; font-size: 12px; color: var(--ink); }}
.bk-input, select, input {{ font-family: {FONT}; font-size: 12px; }}
.bk-input:not([type=color]) {{ color: var(--ink); background: var(--paper); border: 1px solid var(--line);
  border-radius: 6px; height: 28px; min-height: 28px; padding: 0 8px; }}
.bk-input[type=color] {{ padding: 2px; height: 28px; border: 1px solid var(--line); border-radius: 6px;
  background: var(--paper); }}
.bk-input:focus {{ border-color: var(--accent); box-shadow: none; outline: none; }}
select.bk-input:not([multiple]) {{ padding-right: 22px; background-color: var(--paper); }}
.bk-input-group {{ margin: 0; }}
.bk-clearfix, input[type=checkbox] {{ vertical-align: middle; }}
label, .bk-slider-title {{ color: var(--muted); font-size: 12px; }}
.noUi-target {{ background: var(--line); border: 0; box-shadow: none; height: 4px !important; border-radius: 2px; }}
.noUi-connect {{ background: var(--accent) !important; }}
.noUi-handle {{ width: 12px !important; height: 12px !important; top: -4px !important; border-radius: 50% !important;
  border: 1px solid var(--muted) !important; background: var(--paper) !important; box-shadow: none !important;
  right: -6px !important; }}
.noUi-handle:before, .noUi-handle:after {{ display: none; }}
"""

FIGURE = """
:host { background: var(--paper); }
:host, :host *, :host(:focus), *:focus, *:focus-visible { outline: none !important; }
"""

LIST = f"""
:host {{ margin: 0; font-family: {FONT}; overflow-y: auto; overflow-x: hidden; }}
.bk-input-group {{ display: block; width: 100%; }}
label {{ display: flex; align-items: center; gap: 6px; height: 26px; padding: 0 6px 0 2px; border-radius: 5px;
  cursor: pointer; font-size: 12px; color: var(--ink); margin: 0; box-sizing: border-box; }}
label:hover {{ background: var(--wash); }}
label:has(input:checked) {{ background: color-mix(in srgb, var(--accent) 13%, transparent); }}
label span {{ flex: 1 1 auto; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }}
label span::before {{ content: ""; display: inline-block; width: 13px; height: 13px; border-radius: 4px;
  background: var(--swatch); margin-right: 8px; vertical-align: -2px; }}
label::after {{ color: var(--muted); font-variant-numeric: tabular-nums; flex: none; }}
input[type=checkbox] {{ accent-color: var(--accent); margin: 0; flex: none; position: relative; top: -1px; }}
"""


def dress(figure: Any, theme: str) -> None:
    """Give a figure of Bokeh the colours of a theme."""
    from bokeh.models import InlineStyleSheet

    look = THEMES[theme]
    if not figure.stylesheets:
        figure.stylesheets = [InlineStyleSheet(css=FIGURE)]
    figure.background_fill_color = figure.border_fill_color = None  # the page shines through, to the very edge
    figure.outline_line_color = look.line
    for axis in figure.axis:
        axis.axis_line_color = axis.major_tick_line_color = look.line
        axis.minor_tick_line_color = None
        axis.major_label_text_color = axis.axis_label_text_color = look.muted
        axis.major_label_text_font_size, axis.axis_label_text_font_size = "11px", "12px"
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font = axis.major_label_text_font = FONT
    for grid in figure.grid:
        grid.grid_line_color = None


def veil(theme: str) -> str:
    """What is laid over all that is not selected."""
    return f"{THEMES[theme].paper}c8"
