"""How far a clustering can be trusted: repeats, agreement of labellings, consensus, comparison of runs."""

from __future__ import annotations

from refold.trust.assessing import stability
from refold.trust.comparing import Comparison, compare
from refold.trust.finished import FinishedRun
from refold.trust.steadiness import Stability

__all__ = ["Comparison", "FinishedRun", "Stability", "compare", "stability"]
