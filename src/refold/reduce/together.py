"""Visitors made of visitors."""

from __future__ import annotations

from typing import Any

from refold.engine import Block, Where


class Together:
    """Visitor: several in one, whose result is the tuple of theirs.

    Parameters
    ----------
    *visitors : Visitor
        They see the same blocks, in this order.
    """

    def __init__(self, *visitors: Any) -> None:
        self.visitors = visitors

    @property
    def nbytes(self) -> int:
        """Bytes of all states."""
        return sum(getattr(visitor, "nbytes", 0) for visitor in self.visitors)

    @property
    def working_nbytes(self) -> int:
        """Bytes that their visits take beside the states."""
        return sum(getattr(visitor, "working_nbytes", 0) for visitor in self.visitors)

    def start(self) -> list[Any]:
        """Empty states."""
        return [visitor.start() for visitor in self.visitors]

    def visit(self, state: list[Any], block: Block, where: Where) -> None:
        """Show the block to each."""
        for visitor, part in zip(self.visitors, state, strict=True):
            visitor.visit(part, block, where)

    def merge(self, one: list[Any], other: list[Any]) -> list[Any]:
        """Join state by state."""
        return [visitor.merge(*parts) for visitor, *parts in zip(self.visitors, one, other, strict=True)]

    def finish(self, state: list[Any]) -> tuple[Any, ...]:
        """Finish each."""
        return tuple(visitor.finish(part) for visitor, part in zip(self.visitors, state, strict=True))


class Unfinished:
    """Visitor: another one whose state is handed out as it is, to be merged with those of later sweeps.

    Parameters
    ----------
    visitor : Visitor
        The other one.
    """

    def __init__(self, visitor: Any) -> None:
        self.visitor = visitor
        self.start = visitor.start
        self.visit = visitor.visit
        self.merge = visitor.merge

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return int(getattr(self.visitor, "nbytes", 0))

    @property
    def working_nbytes(self) -> int:
        """Bytes that a visit takes beside it."""
        return int(getattr(self.visitor, "working_nbytes", 0))

    def finish(self, state: Any) -> Any:
        """Hand the state out."""
        return state
