"""What an autoencoder may be told, checked before anything is read."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np

from refold.errors import MissingDependencyError, ParameterError
from refold.reduce.neural.layers import ACTIVATIONS
from refold.reduce.scaling import SCALINGS

SCHEDULES = ("constant", "cosine", "plateau")
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "mixed")

_CHOICES: dict[str, tuple[Any, ...]] = {
    "activation": tuple(ACTIVATIONS),
    "scaling": SCALINGS,
    "learning_rate_schedule": SCHEDULES,
    "device": DEVICES,
    "precision": PRECISIONS,
}


def check_options(model: Any) -> None:
    """Raise where an option of an `Autoencoder` has a value that it cannot have.

    Raises
    ------
    ParameterError
        If so.
    """
    for name, allowed in _CHOICES.items():
        if getattr(model, name) not in allowed:
            _refuse(model, name, f"one of {allowed}")
    for name, (wanted, right) in _NUMBERS.items():
        if not right(getattr(model, name)):
            _refuse(model, name, wanted)


def _is_number(value: Any, kind: type, least: float) -> bool:
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    number: Any = value
    return bool(number >= least) and bool(np.isfinite(number))


def _is_count(value: Any) -> bool:
    return _is_number(value, Integral, 1)


def _is_amount(value: Any) -> bool:
    return _is_number(value, Real, 0)


def _is_share(value: Any) -> bool:
    return _is_amount(value) and bool(value < 1)


def _are_widths(value: Any) -> bool:
    return all(_is_count(width) for width in np.atleast_1d(np.asarray(value, object)))


_WHOLE, _AMOUNT, _SHARE = "a whole number of 1 or more", "a number of 0 or more", "a share, from 0 to less than 1"
_NUMBERS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("n_components", "epochs", "batch_size"), (_WHOLE, _is_count)),
    **dict.fromkeys(("noise", "kl_weight", "weight_decay", "tol"), (_AMOUNT, _is_amount)),
    **dict.fromkeys(("dropout", "validation_fraction"), (_SHARE, _is_share)),
    "patience": (f"{_WHOLE}, or None", lambda value: value is None or _is_count(value)),
    "learning_rate": ("a number above 0", lambda value: _is_amount(value) and value > 0),
    "hidden_layers": ("widths from the data inwards, such as (512, 256, 128)", _are_widths),
}


def _refuse(model: Any, name: str, wanted: str) -> None:
    raise ParameterError(f"{name}={getattr(model, name)!r}", wanted, f"choose another {name}")


def need_torch() -> Any:
    """Import PyTorch, which takes a second or two and is done for nothing but training.

    Returns
    -------
    module
        ``torch``.

    Raises
    ------
    MissingDependencyError
        If it is not installed, or what checkpoints are written with is not.
    """
    try:
        import safetensors.numpy  # noqa: F401  # missed now, and not after the first epoch
        import torch
    except ImportError as error:
        raise MissingDependencyError(
            f"no PyTorch with safetensors ({error})",
            "both, to train an autoencoder; one that is trained needs neither",
            "pip install 'refold[torch]'",
        ) from error
    return torch


def seed_of(random_state: Any) -> int:
    """A whole number, from what scikit-learn takes as ``random_state``.

    Examples
    --------
    >>> seed_of(3)
    3
    """
    from sklearn.utils import check_random_state

    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    return int(check_random_state(random_state).randint(2**31 - 1))
