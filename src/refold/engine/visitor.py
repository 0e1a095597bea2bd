"""What looks at each block of a sweep."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from refold.engine.block import Block, Where

State = TypeVar("State")
Result = TypeVar("Result", covariant=True)


class Visitor(Protocol[State, Result]):
    """An accumulator or a writer that a sweep feeds with blocks.

    A state belongs to one partition and is updated in place. `merge` is associative, so that partitions may be walked
    anywhere and joined in any grouping. A visitor with an attribute ``nbytes`` says how large one state is, and with
    ``working_nbytes`` what a visit takes beside it, which the plan counts. Visitors travel to workers, so they must be
    picklable, and must not keep anything of a block.

    The protocol is that of LiberTEM's user-defined functions (Clausen et al. 2020, JOSS 5, 2006), less the roles.

    Examples
    --------
    >>> import numpy as np, refold
    >>> class Brightest:
    ...     def start(self):
    ...         return [-np.inf]
    ...     def visit(self, state, block, where):
    ...         state[0] = max(state[0], block.data.max())
    ...     def merge(self, one, other):
    ...         return [max(one[0], other[0])]
    ...     def finish(self, state):
    ...         return float(state[0])
    >>> refold.sweep(refold.as_cube(np.arange(24.0).reshape(2, 3, 4), signal="energy"), Brightest())
    (23.0,)
    """

    def start(self) -> State:
        """Empty state of one partition."""
        ...

    def visit(self, state: State, block: Block, where: Where) -> None:
        """Take a block into the state, in place."""
        ...

    def merge(self, one: State, other: State) -> State:
        """Join the states of two partitions, ``one`` being the earlier; either may be reused."""
        ...

    def finish(self, state: State) -> Result:
        """Turn the state of the whole scan into the result."""
        ...


AnyVisitor = Visitor[Any, Any]
