"""Reports: figures of a run, and one self-contained HTML page of all of them.

Nothing here imports matplotlib until a figure is drawn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refold.report import figures
    from refold.report.colours import palette
    from refold.report.geotiff import to_geotiff
    from refold.report.page import render_report, write_report
    from refold.report.stretching import composite

__all__ = ["composite", "figures", "palette", "render_report", "to_geotiff", "write_report"]

_HOMES = {
    "composite": "stretching",
    "palette": "colours",
    "render_report": "page",
    "to_geotiff": "geotiff",
    "write_report": "page",
}


def __getattr__(name: str) -> Any:
    """Import a module of the room when it is first asked for (PEP 562)."""
    if name == "figures":
        return import_module(f"{__name__}.figures")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
