"""One sweep over the scores that asks every repeat for the label of every pixel, and keeps only what they agree on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.backprojection import Refolder
from refold.engine import Block, Where
from refold.trust.matching import INVALID

Labels = npt.NDArray[np.int32]
Look = Callable[[Block, Where], Block]


@dataclass
class Voter:
    """A repeat that can be asked for labels.

    Parameters
    ----------
    refolder : Refolder
        Its landmarks and their clusters.
    view : callable
        Which copy of the scores it looks at: a `View`, shared.
    names : ndarray of int32, shape (clusters + 1,)
        Its clusters in the run's numbers, from `match`.
    """

    refolder: Refolder
    view: Look
    names: Labels

    def ask(self, rows: npt.NDArray[Any], pixels: npt.NDArray[np.int64]) -> Labels:
        """Labels of rows of scores, in the run's numbers."""
        named: Labels = self.names[self.refolder.answer(rows, pixels)["labels"]]
        return named


class Poll:
    """Labels of a block's pixels by the run and by every repeat; to be shared by means of `Once`. Picklable.

    Parameters
    ----------
    labels : array_like
        The run's own, a NumPy or a Zarr array.
    voters : sequence of Voter
        The repeats.
    """

    def __init__(self, labels: Any, voters: Sequence[Voter]) -> None:
        self.labels = labels
        self.voters = tuple(voters)

    def __call__(self, block: Block, where: Where) -> Labels:
        """Labels, shape (pixels, 1 + repeats), in the run's numbers; `INVALID` for pixels that are not finite."""
        votes = np.empty((block.n_pixels, 1 + len(self.voters)), np.int32)
        votes[:, 0] = where.pick(self.labels)
        for at, voter in enumerate(self.voters, start=1):
            votes[:, at] = voter.ask(voter.view(block, where).rows, where.pixels)
        votes[~block.valid] = INVALID
        return votes


class Verdict:
    """What is written of a poll: the share that agrees with the run, and the consensus. Picklable.

    Parameters
    ----------
    poll : callable
        A `Poll`, shared.
    consensus : Refolder
        The consensus on the run's landmarks.
    view : callable
        Which copy of the scores the run itself looked at.
    """

    def __init__(self, poll: Any, consensus: Refolder, view: Look) -> None:
        self.poll = poll
        self.consensus = consensus
        self.view = view

    def __call__(self, block: Block, where: Where) -> dict[str, npt.NDArray[Any]]:
        """Arrays of the block's navigation shape, by the names of the variables."""
        votes = self.poll(block, where)
        agreeing = (votes[:, 1:] == votes[:, :1]).mean(axis=1, dtype=np.float64).astype(np.float32)
        agreeing[votes[:, 0] == INVALID] = np.nan
        found = self.consensus.answer(self.view(block, where).rows, where.pixels)
        values = {
            "stability": agreeing,
            "consensus": found["labels"],
            "consensus_probability": found["probability"],
        }
        return {name: value.reshape(where.shape) for name, value in values.items()}


class Agreeing:
    """Visitor: how many pixels as many repeats agree on.

    Parameters
    ----------
    poll : callable
        A `Poll`, shared.
    repeats : int
        How many there are.
    """

    def __init__(self, poll: Any, repeats: int) -> None:
        self.poll = poll
        self.repeats = repeats

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return 8 * (self.repeats + 1)

    def start(self) -> npt.NDArray[np.int64]:
        """Nothing counted."""
        return np.zeros(self.repeats + 1, np.int64)

    def visit(self, state: npt.NDArray[np.int64], block: Block, where: Where) -> None:
        """Count a block."""
        votes = self.poll(block, where)
        votes = votes[votes[:, 0] != INVALID]
        state += np.bincount((votes[:, 1:] == votes[:, :1]).sum(axis=1), minlength=state.size)

    def merge(self, one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Add."""
        one += other
        return one

    def finish(self, state: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The counts."""
        return state
