"""Steps of a history, as methods: each does one thing to the clusters, and can be undone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from refold.editing.history import History
from refold.editing.operations import Merge, Operation, Recolour, Rename, Reset, Split
from refold.editing.selections import Selection
from refold.errors import ParameterError


class Steps(ABC):
    """What can be done to clusters, step by step.

    Parameters
    ----------
    history : History
        What was done before.
    """

    def __init__(self, history: History) -> None:
        self.history = history

    @abstractmethod
    def sizes(self) -> dict[int, int]:
        """Count the pixels of every cluster."""

    # --- edits, each one step ----------------------------------------------------------------------------------------

    def merge(self, clusters: Iterable[int], name: str | None = None) -> int:
        """Make one of several clusters.

        Parameters
        ----------
        clusters : iterable of int
            Their ids, two or more.
        name : str, optional
            What it is called from now on; by default as the largest of those that have been named.

        Returns
        -------
        int
            Its id: the smallest of theirs, whose colour it keeps.

        Raises
        ------
        ParameterError
            If there are no such clusters.
        """
        numbers = _ids(clusters)
        return self._do(Merge(numbers, self._inherited(numbers) if name is None else name))

    def split(
        self,
        selection: Selection,
        clusters: Iterable[int] | None = None,
        noise: bool = False,
        name: str | None = None,
    ) -> int:
        """Make a new cluster of selected pixels.

        Parameters
        ----------
        selection : Selection
            Which pixels.
        clusters : iterable of int, optional
            Only those of these clusters; by default of any.
        noise : bool
            Whether noise among them becomes part of it; otherwise noise stays noise. With ``clusters=()`` noise only.
        name : str, optional
            What it is called.

        Returns
        -------
        int
            Its id, which no cluster had before.

        Raises
        ------
        ParameterError
            If the selection or the clusters are none of this run.
        """
        return self._do(Split(selection, None if clusters is None else _ids(clusters), noise, name))

    def rename(self, cluster: int, name: str | None) -> None:
        """Give a cluster a name.

        Parameters
        ----------
        cluster : int
            Its id.
        name : str or None
            A name that no other cluster has; None to call it by its id again.

        Raises
        ------
        ParameterError
            If there is no such cluster, or it cannot be called so.
        """
        (number,) = _ids([cluster])
        self._do(Rename(number, name))

    def recolour(self, colours: Mapping[int, str | None]) -> None:
        """Give one or more clusters a colour, in one step.

        Parameters
        ----------
        colours : mapping of int to str or None
            ``#rrggbb`` by id; None for the palette's own.

        Raises
        ------
        ParameterError
            If there is no such cluster, or it is no colour.
        """
        if not isinstance(colours, Mapping):
            raise ParameterError(f"colours {colours!r:.80}", "a mapping", "pass {cluster: '#rrggbb'}")
        lower = (colour.lower() if isinstance(colour, str) else colour for colour in colours.values())
        self._do(Recolour(tuple(zip(_ids(colours), lower, strict=True))))

    def reset(self) -> None:
        """Go back to the clusters as the run found them. It is a step like any other: undo brings the edits back."""
        self._do(Reset())

    def _do(self, operation: Operation) -> int:
        self.history, made = self.history.add(operation)
        return -1 if made is None else made

    def _inherited(self, numbers: tuple[int, ...]) -> str | None:
        """Name that clusters to be merged have: of the largest that has one, of two as large that of the smaller id."""
        names = {number: look.name for number, look in self.history.table.looks.items() if look.name is not None}
        named = sorted(number for number in names if number in numbers)
        if len(named) > 1:
            sizes = self.sizes()
            named.sort(key=lambda number: -sizes[number])
        return names[named[0]] if named else None

    # --- history --------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> tuple[str, ...]:
        """What was done and is in force, in words, in order."""
        return tuple(map(str, self.history.done))

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return self.history.cursor > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return self.history.cursor < len(self.history.operations)

    def undo(self) -> None:
        """Take the last step back.

        Raises
        ------
        ParameterError
            If there is none.
        """
        self.history = self.history.undo()

    def redo(self) -> None:
        """Do the step again that was undone last.

        Raises
        ------
        ParameterError
            If there is none.
        """
        self.history = self.history.redo()


def _ids(clusters: Iterable[Any]) -> tuple[int, ...]:
    if not isinstance(clusters, Iterable) or isinstance(clusters, str):
        raise ParameterError(f"clusters {clusters!r}", "some ids", "put them into a list, as in [1, 3]")
    return tuple(int(one) if isinstance(one, np.integer) else one for one in clusters)
