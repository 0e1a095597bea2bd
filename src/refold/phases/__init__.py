"""Clusters as phases: their spectra, what these are mixed of, and masks, maps and spectra for other programs.

Nothing here is imported until it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refold.phases.label_maps import export_labels
    from refold.phases.masks import export_masks
    from refold.phases.spectrum_files import export_spectra
    from refold.phases.unmixing import Unmixed, unmix

__all__ = ["Unmixed", "export_labels", "export_masks", "export_spectra", "unmix"]

_HOMES = {
    "Unmixed": "unmixing",
    "export_labels": "label_maps",
    "export_masks": "masks",
    "export_spectra": "spectrum_files",
    "unmix": "unmixing",
}


def __getattr__(name: str) -> Any:
    """Import a module of the room when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
