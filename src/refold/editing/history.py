"""The history of edits: operations, and how many of them are in force."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from refold.editing.operations import Frame, Operation, Reset, Split, Table
from refold.errors import ParameterError

MAX_OPERATIONS = 10_000
"""Steps that a history may have."""


@dataclass(frozen=True)
class History:
    """Operations in their order, of which the first few are in force; the others were undone and can be done again.

    Parameters
    ----------
    frame : Frame
        What the edits are made in.
    operations : tuple of Operation
        All of them.
    cursor : int
        How many are in force.

    Raises
    ------
    ParameterError
        If an operation cannot be done where it stands, or the cursor lies outside.
    """

    frame: Frame
    operations: tuple[Operation, ...] = ()
    cursor: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.cursor <= len(self.operations):
            raise ParameterError(f"cursor {self.cursor}", f"0 to {len(self.operations)}", "take it from a history")
        if len(self.operations) > MAX_OPERATIONS:
            raise ParameterError(
                f"{len(self.operations)} steps", f"at most {MAX_OPERATIONS}", "save, and begin another set of edits"
            )

    @property
    def done(self) -> tuple[Operation, ...]:
        """Operations that are in force."""
        return self.operations[: self.cursor]

    @property
    def effective(self) -> tuple[Operation, ...]:
        """Those of them that were done since all was reset last."""
        done = self.done
        resets = [place for place, operation in enumerate(done) if isinstance(operation, Reset)]
        return done[resets[-1] + 1 :] if resets else done

    @property
    def begun(self) -> int:
        """Id that the first cluster has, or would have, that was split off since all was reset last."""
        before = self.done[: self.cursor - len(self.effective)]
        return self.frame.clusters + sum(isinstance(operation, Split) for operation in before)

    @cached_property
    def table(self) -> Table:
        """The clusters there are now; not to be changed."""
        return Table.after(self.frame, self.done)

    def check(self) -> None:
        """Check that every operation can be done where it stands, those that were undone as well.

        Raises
        ------
        ParameterError
            If one cannot.
        """
        Table.after(self.frame, self.operations)

    def add(self, operation: Operation) -> tuple[History, int | None]:
        """Do one operation more; what was undone is forgotten.

        Returns
        -------
        history : History
            With it.
        made : int or None
            Id of the cluster that it made, if it made one.

        Raises
        ------
        ParameterError
            If it cannot be done.
        """
        table = Table.after(self.frame, self.done)
        made = table.do(operation)
        return History(self.frame, (*self.done, operation), self.cursor + 1), made

    def undo(self) -> History:
        """Take the last operation in force back.

        Raises
        ------
        ParameterError
            If none is.
        """
        if not self.cursor:
            raise ParameterError("no step to undo", "one or more done", "look at can_undo first")
        return replace(self, cursor=self.cursor - 1)

    def redo(self) -> History:
        """Do the operation again that was undone last.

        Raises
        ------
        ParameterError
            If none was.
        """
        if self.cursor == len(self.operations):
            raise ParameterError("no step to redo", "one or more undone", "look at can_redo first")
        return replace(self, cursor=self.cursor + 1)
