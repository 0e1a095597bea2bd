"""A writer is a visitor: it writes the region of its block, and no two blocks touch one chunk of the target."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from refold.engine.block import Block, Where
from refold.engine.encoding import ChunkWriter, is_whole
from refold.errors import DiskFullError, ParameterError

Compute = Callable[[Block, Where], Any]


def _as_it_is(block: Block, where: Where) -> npt.NDArray[Any]:
    return block.data


class ZarrWriter:
    """Visitor: writes each block, or what is computed from it, into Zarr arrays.

    Parameters
    ----------
    targets : zarr.Array or mapping of str to zarr.Array
        Where to write; navigation dims first, of the cube's navigation shape. Their chunks must be such that no two
        blocks touch one: `Grid.target_chunks` gives them.
    compute : callable, optional
        ``compute(block, where)`` gives an array, or a mapping of arrays for several targets, each of shape
        (*navigation of the block, ...). By default the block's own values.
    shared : bool
        Whether blocks may touch one chunk after all. They are then written one at a time, which several processes could
        not agree on: such a writer does not travel.

    Examples
    --------
    >>> import numpy as np, refold, zarr
    >>> target = zarr.create_array({}, shape=(4, 3, 2), chunks=(2, 3, 2), dtype="f8")
    >>> cube = refold.as_cube(np.arange(24.0).reshape(4, 3, 2), signal="energy")
    >>> refold.sweep(cube, ZarrWriter(target))
    (None,)
    >>> bool((target[:] == cube.values).all())
    True
    """

    def __init__(
        self,
        targets: zarr.Array[Any] | Mapping[str, zarr.Array[Any]],
        compute: Compute = _as_it_is,
        *,
        shared: bool = False,
    ) -> None:
        self.targets = dict(targets) if isinstance(targets, Mapping) else {"": targets}
        self.compute = compute
        # A lock cannot be pickled, and a writer with one shall not be.
        self._turn = Lock() if shared else None
        self._ways = {name: None if shared else ChunkWriter.of(target) for name, target in self.targets.items()}

    def start(self) -> None:
        """A writer keeps nothing."""

    def visit(self, state: None, block: Block, where: Where) -> None:
        """Write a block's region."""
        values = self.compute(block, where)
        if not isinstance(values, Mapping):
            values = {next(iter(self.targets)): values}
        for name, target in self.targets.items():
            _check_target(name, target, where, shared=self._turn is not None)
            if name not in values:
                raise ParameterError(f"no {name!r} among {sorted(values)}", "a value for every target", "mend compute")
            value = np.asarray(values[name])
            if value.shape != where.shape + target.shape[len(where.shape) :]:
                raise ParameterError(
                    f"a block of {name or 'values'} of shape {value.shape}",
                    f"{where.shape + target.shape[len(where.shape) :]}",
                    "let compute return what the target holds for each pixel",
                )
            try:
                self._write(name, where, value)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise DiskFullError(
                        f"a full disk while writing {name or 'a block'} at {where.slices}",
                        "room for the run; refold plan says how much",
                        "free some, or choose another place, and start the run again: it goes on where it stopped",
                    ) from error
                raise

    def _write(self, name: str, where: Where, value: npt.NDArray[Any]) -> None:
        way, target = self._ways[name], self.targets[name]
        if way is not None:
            way.write((*where.slices, *(slice(0, size) for size in target.shape[len(where.shape) :])), value)
            return
        with self._turn or nullcontext():
            target[where.slices] = value

    def merge(self, one: None, other: None) -> None:
        """Nothing to join."""

    def finish(self, state: None) -> None:
        """Everything is written."""


def _check_target(name: str, target: zarr.Array[Any], where: Where, *, shared: bool) -> None:
    """Two blocks that wrote to one chunk at once would lose what one of them wrote."""
    if target.shape[: len(where.grid)] != where.grid:
        raise ParameterError(
            f"{name or 'a target'} of shape {target.shape}",
            f"navigation shape {where.grid}",
            "create the target for this cube",
        )
    if shared:
        return
    if not is_whole(where.slices, target):
        raise ParameterError(
            f"a block at {where.slices} for {name or 'a target'} with chunks {target.shards or target.chunks}",
            "chunks that no two blocks share",
            "create the target with chunks=grid.target_chunks(…), or write with shared=True",
        )
