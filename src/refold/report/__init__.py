"""Reports: figures of a run, and one self-contained HTML page of all of them.

Nothing here imports matplotlib until a figure is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refold.report.colours import palette
    from refold.report.gallery import figure_files
    from refold.report.latent import latent_scatter
    from refold.report.maps import label_map, probability_map, residual_map, scalar_map
    from refold.report.page import render_report, write_report
    from refold.report.poster import overview
    from refold.report.spectra import mean_signal, mean_signals
    from refold.report.variance import scree

__all__ = [
    "figure_files",
    "label_map",
    "latent_scatter",
    "mean_signal",
    "mean_signals",
    "overview",
    "palette",
    "probability_map",
    "render_report",
    "residual_map",
    "scalar_map",
    "scree",
    "write_report",
]

_HOMES = {
    "figure_files": "gallery",
    "label_map": "maps",
    "latent_scatter": "latent",
    "mean_signal": "spectra",
    "mean_signals": "spectra",
    "overview": "poster",
    "palette": "colours",
    "probability_map": "maps",
    "render_report": "page",
    "residual_map": "maps",
    "scalar_map": "maps",
    "scree": "variance",
    "write_report": "page",
}


def __getattr__(name: str) -> Any:
    """Import a figure's module when the figure is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
