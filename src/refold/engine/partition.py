"""One partition: its blocks in order, its states in place; and how the states of partitions are joined."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits

from refold.engine.buffers import Lender, lending
from refold.engine.reading import BlockReader
from refold.engine.settings import n_cores
from refold.engine.visitor import AnyVisitor

States = list[Any]
Told = Callable[[int, int, int], None]


def walk(reader: BlockReader, blocks: range, visitors: Sequence[AnyVisitor], lender: Lender, told: Told) -> States:
    """Walk a partition: read each block, show it to all visitors, let go of it, and tell of it."""
    states = [visitor.start() for visitor in visitors]
    for index in blocks:
        with lending(lender):
            block, where, reads = reader(index)
            for visitor, state in zip(visitors, states, strict=True):
                visitor.visit(state, block, where)
        n_bytes = block.data.nbytes
        del block  # not beside the next one
        told(1, n_bytes, reads)
    return states


def merge(visitors: Sequence[AnyVisitor], one: States, other: States) -> States:
    """Join the states of two partitions, visitor by visitor."""
    return [visitor.merge(a, b) for visitor, a, b in zip(visitors, one, other, strict=True)]


def merge_tree(states: Iterable[Any], join: Callable[[Any, Any], Any]) -> Any:
    """Join states, taken in order, along a binary tree; only a state for each level is alive."""
    levels: list[tuple[int, Any]] = []

    def join_last(grow: int) -> None:
        other, one = levels.pop(), levels.pop()
        levels.append((one[0] + grow, join(one[1], other[1])))

    for state in states:
        levels.append((0, state))
        while len(levels) > 1 and levels[-1][0] == levels[-2][0]:
            join_last(1)
    while len(levels) > 1:
        join_last(0)
    return levels[0][1]


class _BlasLimit:
    """The limit is the whole process's, and sweeps may overlap in it: the first sets it, the last lifts it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.limiter: threadpool_limits | None = None

    def enter(self, limit: int) -> None:
        with self.lock:
            if not self.users:
                self.limiter = threadpool_limits(limits=limit, user_api="blas")
            self.users += 1

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if not self.users and self.limiter is not None:
                self.limiter.restore_original_limits()
                self.limiter = None


_BLAS = _BlasLimit()


@contextmanager
def blas_threads(n_partitions: int) -> Iterator[None]:
    """Let BLAS use the cores that partitions leave idle; a function of the plan, so that rounding is too."""
    _BLAS.enter(max(1, n_cores() // n_partitions))
    try:
        yield
    finally:
        _BLAS.leave()
