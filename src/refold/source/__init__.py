"""Ways in: `open` any scan lazily, in any format; `info` on what a file holds; `convert` it to chunks that suit."""

from refold.source import synthetic
from refold.source.checksums import checksum
from refold.source.converting import Converted, convert
from refold.source.hyperspy import from_hyperspy
from refold.source.opening import info, open
from refold.source.signals import SignalInfo

__all__ = ["Converted", "SignalInfo", "checksum", "convert", "from_hyperspy", "info", "open", "synthetic"]
