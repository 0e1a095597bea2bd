"""Ways in: `open` any scan lazily, in any format, and `info` on what a file holds."""

from refold.source import synthetic
from refold.source.opening import info, open
from refold.source.signals import SignalInfo

__all__ = ["SignalInfo", "info", "open", "synthetic"]
