"""How much memory a run may use, and how it is shared out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from refold.errors import ParameterError

_ROUNDS_UP = 999.5  # to 1000, which the next unit writes better
_UNITS = {"": 1, "B": 1}
for _power, _prefix in enumerate("KMGTP", start=1):
    _UNITS |= {_prefix: 1000**_power, f"{_prefix}B": 1000**_power, f"{_prefix}IB": 1024**_power}


def parse_bytes(text: str | int) -> int:
    """Read a size such as ``2GB``, ``512 MiB`` or ``1e9``.

    Parameters
    ----------
    text : str or int
        A number with an optional unit; ``GB`` is 10^9 bytes, ``GiB`` 2^30.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ParameterError
        If it is no positive size.

    Examples
    --------
    >>> parse_bytes("2GB"), parse_bytes("512 MiB")
    (2000000000, 536870912)
    """
    match = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)\s*", str(text))
    unit = match.group(2).upper() if match else None
    try:
        size = int(float(match.group(1)) * _UNITS[unit or ""]) if match else 0
    except (KeyError, ValueError, OverflowError):
        size = 0
    if size <= 0:
        raise ParameterError(
            f"a size of {text!r}", "a positive number of bytes with a unit", "write it as in 2GB or 512MiB"
        )
    return size


def format_bytes(size: float) -> str:
    """Write a size for people, with three figures.

    Examples
    --------
    >>> format_bytes(2_147_483_648), format_bytes(950)
    ('2.15 GB', '950 B')
    """
    value, prefix = float(size), ""
    for larger in ("k", "M", "G", "T", "P"):
        if value < _ROUNDS_UP:
            break
        value, prefix = value / 1000, larger
    return f"{value:.0f} {prefix}B" if value >= 100 or not prefix else f"{value:.3g} {prefix}B"


@dataclass(frozen=True)
class Budget:
    """Memory of a run and the workers that share it.

    Parameters
    ----------
    memory : int
        Bytes that the run may use for data: blocks, states of visitors, landmarks.
    workers : int
        Partitions in flight at once.

    Examples
    --------
    >>> Budget(memory=1_000_000_000, workers=2).block_bytes(state_bytes=0)
    250000000
    """

    memory: int
    workers: int = 1

    def block_bytes(self, state_bytes: int, read_bytes: int = 0) -> int:
        """Bytes that one block may cost.

        Half of a worker's share of what the states leave, the rest being for the allocator and the merge; less where
        a chunk on its way into the block takes more than that rest.
        """
        share = (self.memory - state_bytes) // self.workers
        return max(0, min(share // 2, share - read_bytes))

    def max_partitions(self, state_bytes: int) -> int:
        """Partitions such that their states, were they all alive at once, would take half of the memory at most.

        It does not depend on the number of workers, so that a result does not either.
        """
        return max(1, min(64, self.memory // (2 * state_bytes) if state_bytes else 64))
