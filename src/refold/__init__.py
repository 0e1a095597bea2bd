"""Refold segments scans that do not fit in memory and gives every pixel its label, on the scan's own coordinates."""

__version__ = "0.1.0.dev0"
