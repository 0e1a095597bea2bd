"""How far training is: its weights, the sums of its optimiser, the losses so far, and what follows from these."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from refold.reduce.neural.layers import Weights

_SLOWER = 0.5  # of the learning rate, where the loss has come to a halt
_WAITS = 3  # of these halts fit in the patience that ends training

Epoch = tuple[float, float]  # losses: of the pixels that are learnt from, and of those that judge


@dataclass(frozen=True)
class Plan:
    """How to train.

    Parameters
    ----------
    epochs : int
        At most.
    patience : int or None
        Epochs without a better loss after which to stop; None never does.
    tol : float
        By what share a loss must fall to be better.
    learning_rate : float
        In the first epoch.
    schedule : {"constant", "cosine", "plateau"}
        How it goes on: as it is; down to 0 along half a cosine; halved whenever a third of the patience has passed
        without a better loss.
    weight_decay : float
        By which share of the learning rate weights shrink at each step (Loshchilov and Hutter 2019, ICLR).
    dropout, noise : float
        Share of the hidden values that are left out, and deviation of what is added to the data, while training.
    kl_weight : float
        Of the divergence from a unit normal; 0 for a plain autoencoder.
    activation : str
        Between layers.
    seed : int
        Of all that is drawn.
    """

    epochs: int
    patience: int | None
    tol: float
    learning_rate: float
    schedule: str
    weight_decay: float
    dropout: float
    noise: float
    kl_weight: float
    activation: str
    seed: int

    def rate(self, history: Sequence[Epoch]) -> float:
        """Learning rate of the epoch after these.

        Examples
        --------
        >>> plan = Plan(10, 3, 0.0, 1.0, "plateau", 0, 0, 0, 0, "relu", 0)
        >>> plan.rate([(1.0, 1.0)]), plan.rate([(1.0, 1.0), (1.0, 2.0), (1.0, 2.0)])
        (1.0, 0.25)
        """
        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * len(history) / self.epochs)) / 2
        if self.schedule == "constant":
            return self.learning_rate
        wait = max(1, (self.patience or 10) // _WAITS)
        halts = since = 0
        for better in self._better(history):
            since = 0 if better else since + 1
            if since == wait:
                halts, since = halts + 1, 0
        return self.learning_rate * _SLOWER**halts

    def is_over(self, history: Sequence[Epoch]) -> bool:
        """Whether training ends after these epochs.

        Examples
        --------
        >>> plan = Plan(10, 2, 0.0, 1.0, "constant", 0, 0, 0, 0, "relu", 0)
        >>> plan.is_over([(1.0, 1.0), (1.0, 2.0)]), plan.is_over([(1.0, 1.0), (1.0, 2.0), (1.0, 2.0)])
        (False, True)
        """
        return len(history) >= self.epochs or self.has_stalled(history)

    def has_stalled(self, history: Sequence[Epoch]) -> bool:
        """Whether the loss has not become better for as long as patience lasts."""
        better = self._better(history)
        return self.patience is not None and len(better) > self.patience and not any(better[-self.patience :])

    def _better(self, history: Sequence[Epoch]) -> list[bool]:
        """For each epoch, whether its loss fell enough below the best before."""
        found, best = [], math.inf
        for _, loss in history:
            found.append(loss < best * (1 - self.tol) if math.isfinite(best) else True)
            best = loss if found[-1] else best
        return found


@dataclass(frozen=True)
class Progressed:
    """What training has come to after some epochs: all that the next one follows from.

    Parameters
    ----------
    weights : dict of str to numpy.ndarray
        By name.
    best : dict of str to numpy.ndarray
        Those of the epoch whose loss was lowest.
    first, second : dict of str to numpy.ndarray
        The optimiser's moving averages of gradients and of their squares.
    steps : int
        Batches seen.
    history : tuple of tuple
        Losses of each epoch: of the pixels that are learnt from, and of those that judge.
    """

    weights: Weights
    best: Weights
    first: Weights
    second: Weights
    steps: int = 0
    history: tuple[Epoch, ...] = field(default=())

    @classmethod
    def beginning(cls, weights: Weights) -> Progressed:
        """Before the first epoch."""
        nothing = {name: 0 * value for name, value in weights.items()}
        return cls(weights, weights, nothing, {name: value.copy() for name, value in nothing.items()})

    def after(self, losses: Epoch, steps: int, **arrays: Any) -> Progressed:
        """One epoch later."""
        lowest = min((loss for _, loss in self.history), default=math.inf)
        best = arrays["weights"] if losses[1] < lowest else self.best
        return replace(self, **arrays, best=best, steps=steps, history=(*self.history, losses))

    @property
    def best_epoch(self) -> int:
        """Which epoch had the lowest loss, counted from 0."""
        return min(range(len(self.history)), key=lambda at: self.history[at][1])
