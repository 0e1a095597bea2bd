"""Where the manifold work runs: one Protocol, one file a backend, and the file that chooses."""

from __future__ import annotations

from refold.backends.choose import choose
from refold.backends.cpu import CpuBackend
from refold.backends.protocol import Backend, Density, NeighbourIndex

__all__ = ["Backend", "CpuBackend", "Density", "NeighbourIndex", "choose"]
