"""X-ray spectra: which lines there are, maps and intensities of them, and what unknown peaks may be."""

from refold.features.xrays.intensities import line_intensities
from refold.features.xrays.lines import line_energies
from refold.features.xrays.maps import element_maps
from refold.features.xrays.suggesting import Candidate, Peak, suggest_lines
from refold.features.xrays.table import xray_lines

__all__ = [
    "Candidate",
    "Peak",
    "element_maps",
    "line_energies",
    "line_intensities",
    "suggest_lines",
    "xray_lines",
]
