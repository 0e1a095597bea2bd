"""The colours of clusters, as figures use them: those that edits by hand and the explorer use too."""

from refold.colours import INVALID, NOISE, ink_on, palette, separation, simulate, to_lab, to_rgb

__all__ = ["INVALID", "NOISE", "ink_on", "palette", "separation", "simulate", "to_lab", "to_rgb"]
