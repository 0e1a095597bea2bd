"""Training with PyTorch: the loss, one step, one epoch, and all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from refold.engine import current_settings
from refold.errors import BackendError, DataError
from refold.reduce.neural.checkpoints import Checkpoints
from refold.reduce.neural.layers import Weights
from refold.reduce.neural.options import need_torch
from refold.reduce.neural.pixels import PixelStream, Rows
from refold.reduce.neural.progressing import Epoch, Plan, Progressed

_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8  # of Adam (Kingma and Ba 2015)
_JUDGED = 1 << 22  # values that are judged at once
_WORTH = 10_000_000  # products of a step for each thread: a millisecond of work or so


def choose_device(wanted: str) -> str:
    """Where to train.

    Parameters
    ----------
    wanted : {"auto", "cpu", "cuda"}
        ``"auto"`` takes a GPU that answers.

    Returns
    -------
    str
        ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    BackendError
        If a GPU is wanted and PyTorch finds none.
    """
    torch = need_torch()
    if wanted == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise BackendError(
            f"no GPU that PyTorch {torch.__version__} can use (built for CUDA {torch.version.cuda})",
            "one, for device='cuda'",
            "train with device='cpu', or install a PyTorch that is built for CUDA",
        )
    return "cpu"


class Trainer:
    """Trains a network, epoch by epoch.

    Parameters
    ----------
    plan : Plan
        How.
    stream : PixelStream
        What to learn from.
    judged : numpy.ndarray
        Shape (row, feature), float32: pixels that judge; none, and the loss in training judges.
    device, precision : str
        As for `Autoencoder`.
    """

    def __init__(self, plan: Plan, stream: PixelStream, judged: Rows, device: str, precision: str) -> None:
        self.torch = need_torch()
        self.plan, self.stream, self.device, self.precision = plan, stream, device, precision
        self.judged = judged
        functions = self.torch.nn.functional
        self.linear: Any = functions.linear
        self.act: Any = self.torch.tanh if plan.activation == "tanh" else getattr(functions, plan.activation)

    def run(self, begun: Progressed, saved: Checkpoints | None = None) -> Progressed:
        """Train until it is over, in as many threads as a sweep would have.

        Parameters
        ----------
        begun : Progressed
            Where to go on.
        saved : Checkpoints, optional
            Where to keep what was reached after each epoch.

        Returns
        -------
        Progressed
            What was reached in the end.

        Raises
        ------
        DataError
            If the loss is no longer a number.
        StoreError
            If what was reached cannot be kept.
        """
        setup, reached = current_settings(), begun
        left = max(0, self.plan.epochs - len(begun.history))
        setup.progress.start("training", left * self.stream.n_blocks, left * self.stream.cube.nbytes)
        setup.progress.tally.sweeps -= 1  # epochs count themselves, where they read
        try:
            with _threads(self.torch, self._threads_worth(begun.weights, setup.n_workers)):
                while not self.plan.is_over(reached.history):
                    setup.progress.relabel(self._label(reached.history))
                    reached = self._epoch(reached)
                    if saved is not None:
                        saved.save(reached)
            setup.progress.relabel(f"{len(reached.history)} epochs, loss {reached.history[reached.best_epoch][1]:.4g}")
        finally:
            setup.progress.stop()
        return reached

    def _threads_worth(self, weights: Weights, most: int) -> int:
        """Threads for one step: waiting for each other costs more than small products; decided by sizes alone."""
        products = self.stream.batch * sum(value.size for value in weights.values())
        return min(most, max(1, products // _WORTH))

    def _label(self, history: Sequence[Epoch]) -> str:
        loss = f", loss {history[-1][1]:.4g}" if history else ""
        return f"epoch {len(history) + 1} of {self.plan.epochs}{loss}"

    def _epoch(self, reached: Progressed) -> Progressed:
        """See every pixel once, and judge."""
        number = len(reached.history)
        rate = self.plan.rate(reached.history)
        weights, first, second = (self._on_device(part) for part in (reached.weights, reached.first, reached.second))
        for value in weights.values():
            value.requires_grad_(requires_grad=True)
        drawn = self.torch.Generator(self.device)
        drawn.manual_seed(int(np.random.SeedSequence((self.plan.seed, number, 1)).generate_state(1)[0]))
        total, rows, steps = self.torch.zeros((), dtype=self.torch.float64, device=self.device), 0, reached.steps
        for batch in self.stream.epoch(number):
            loss = self._loss(weights, self._moved(batch), drawn)
            loss.backward()
            steps += 1
            self._step(weights, first, second, rate, steps)
            total += loss.detach().double() * len(batch)
            rows += len(batch)
        if not rows:
            raise DataError("no pixel to learn from", "some", "choose a smaller validation_fraction")
        learnt = float(total) / rows
        judged = self._judge(weights) if len(self.judged) else learnt
        if not (math.isfinite(learnt) and math.isfinite(judged)):
            raise DataError(
                f"a loss of {learnt:g} in epoch {number + 1}", "a finite one", "choose a smaller learning_rate"
            )
        back = {"weights": _as_arrays(weights), "first": _as_arrays(first), "second": _as_arrays(second)}
        return reached.after((learnt, judged), steps, **back)

    def _on_device(self, arrays: Weights) -> dict[str, Any]:
        return {name: self._moved(value) for name, value in arrays.items()}

    def _moved(self, array: Any) -> Any:
        """An array on the device. On the CPU it is copied: how a BLAS adds up may depend on where its numbers lie."""
        there = self.torch.from_numpy(array)
        return there.clone() if self.device == "cpu" else there.to(self.device)

    def _step(self, weights: Any, first: Any, second: Any, rate: float, step: int) -> None:
        """One step of Adam with decoupled weight decay (Loshchilov and Hutter 2019); biases do not decay."""
        torch, lean = self.torch, 1 - rate * self.plan.weight_decay
        root = math.sqrt(1 - _SECOND**step)
        with torch.no_grad():
            for name, value in weights.items():
                slope, value.grad = value.grad, None
                if name.endswith("weight"):
                    value.mul_(lean)
                first[name].lerp_(slope, 1 - _FIRST)
                second[name].mul_(_SECOND).addcmul_(slope, slope, value=1 - _SECOND)
                value.addcdiv_(first[name], (second[name].sqrt() / root).add_(_TINY), value=-rate / (1 - _FIRST**step))

    # --- the loss -----------------------------------------------------------------------------------------------------

    def _loss(self, weights: Mapping[str, Any], shown: Any, drawn: Any = None) -> Any:
        """Mean square that is left of each feature, and the divergence of the latent coordinates from a unit normal.

        With ``kl_weight`` 1 this is the evidence bound for noise of variance 1 (Kingma and Welling 2014), up to a
        constant and the factor of half the number of features. ``drawn`` says where random numbers come from; without,
        nothing is random.
        """
        with self._autocast():
            given = shown
            if drawn is not None and self.plan.noise:
                given = shown + self.plan.noise * self._normal(shown, drawn)
            inner = self._hidden(weights, "encoder", given, drawn)
            centre = latent = self._layer(weights, f"encoder.{_last(weights, 'encoder')}", inner)
            if self.plan.kl_weight:
                spread = self._layer(weights, "spread", inner)  # logarithm of the variance
                if drawn is not None:
                    latent = centre + (spread / 2).exp() * self._normal(centre, drawn)
            outer = self._hidden(weights, "decoder", latent, drawn)
            said = self._layer(weights, f"decoder.{_last(weights, 'decoder')}", outer)
        left = (said.float() - shown).square().mean()
        if not self.plan.kl_weight:
            return left
        centre, spread = centre.float(), spread.float()
        divergence = (centre.square() + spread.exp() - 1 - spread).sum(1).mean() / 2
        return left + self.plan.kl_weight * 2 / shown.shape[1] * divergence

    def _hidden(self, weights: Mapping[str, Any], side: str, values: Any, drawn: Any) -> Any:
        for at in range(_last(weights, side)):
            values = self.act(self._layer(weights, f"{side}.{at}", values))
            if drawn is not None and self.plan.dropout:
                kept = self.torch.empty_like(values).bernoulli_(1 - self.plan.dropout, generator=drawn)
                values = values * kept / (1 - self.plan.dropout)
        return values

    def _layer(self, weights: Mapping[str, Any], name: str, values: Any) -> Any:
        return self.linear(values, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def _normal(self, like: Any, drawn: Any) -> Any:
        return self.torch.randn(like.shape, generator=drawn, device=self.device, dtype=like.dtype)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "float32":
            return nullcontext()
        context: AbstractContextManager[Any] = self.torch.autocast(self.device, dtype=self.torch.bfloat16)
        return context

    def _judge(self, weights: Mapping[str, Any]) -> float:
        """Loss of the pixels that judge, without anything random."""
        step = max(1, _JUDGED // self.judged.shape[1])
        total = 0.0
        with self.torch.no_grad():
            for start in range(0, len(self.judged), step):
                part = self.judged[start : start + step]
                total += float(self._loss(weights, self._moved(part))) * len(part)
        return total / len(self.judged)


def _last(weights: Mapping[str, Any], side: str) -> int:
    """Number of a side's last layer."""
    return sum(name.startswith(side) and name.endswith("weight") for name in weights) - 1


def _as_arrays(values: Mapping[str, Any]) -> Weights:
    return {name: np.array(value.detach().cpu().numpy()) for name, value in values.items()}


@contextmanager
def _threads(torch: Any, count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
