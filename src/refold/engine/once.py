"""A computation that several visitors of one sweep share."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

from refold.engine.block import Block, Where


class Once:
    """Compute something of a block once, whoever of its visitors asks first.

    Parameters
    ----------
    compute : callable
        ``compute(block, where)``, as for `ZarrWriter`. What it gives must not be written to.

    Examples
    --------
    >>> import numpy as np
    >>> brightest = Once(lambda block, where: block.rows.max(axis=1))
    >>> block, where = Block(np.eye(3), 1), Where((slice(0, 3),), (3,))
    >>> brightest(block, where) is brightest(block, where)
    True
    """

    def __init__(self, compute: Callable[[Block, Where], Any]) -> None:
        self.compute = compute
        self._last = threading.local()

    def __call__(self, block: Block, where: Where) -> Any:
        """Return what was computed of this block, or compute it."""
        seen = getattr(self._last, "block", None)  # weakly: the block's memory is wanted for the next one
        if seen is None or seen() is not block:
            self._last.value = self.compute(block, where)
            self._last.block = weakref.ref(block)
        return self._last.value

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.compute,)
