"""Arithmetic on integers: how a scan is cut into blocks and partitions, and what a run will need. No arrays here."""

from refold.planning.budget import Budget, format_bytes, parse_bytes
from refold.planning.grid import Grid, lay_out

__all__ = ["Budget", "Grid", "format_bytes", "lay_out", "parse_bytes"]
