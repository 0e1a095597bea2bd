"""Partitions as tasks of a distributed client."""

from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Sequence
from typing import Any

from refold.engine.buffers import Lender
from refold.engine.keeping import Kept
from refold.engine.partition import States, blas_threads, merge, merge_tree, walk
from refold.engine.reading import BlockReader, CubeReader
from refold.engine.settings import Settings
from refold.engine.visitor import AnyVisitor

Counted = tuple[States, int]  # with the number of chunks read


def on_client(reader: CubeReader | Kept, visitors: Sequence[AnyVisitor], setup: Settings, n_partitions: int) -> States:
    """Run partitions and merges as tasks of a distributed client; no others, bar one that holds the visitors."""
    client, grid = setup.client, reader.grid
    held = client.submit(_hold, tuple(visitors), pure=False)  # sent once: a visitor may hold a map of the whole scan
    parts = [
        client.submit(_walk, reader.partition(index), grid.partition(index), held, n_partitions, pure=False)
        for index in range(n_partitions)
    ]
    telling = _Telling(setup, [len(grid.partition(index)) for index in range(n_partitions)], reader.cube.nbytes)
    for index, part in enumerate(parts):
        part.add_done_callback(telling.callback(index))
    whole = merge_tree(parts, lambda one, other: client.submit(_merge, held, one, other, pure=False))
    begun = [weakref.ref(part) for part in parts]
    del parts, part  # the cluster may let go of a state once it is merged
    try:
        states, reads = whole.result()
    except BaseException:
        telling.none_more()
        for part in filter(None, (ref() for ref in begun)):
            part.release()  # its callback holds it; what nobody wants is not run
        raise
    telling.all_done(reads)
    setup.progress.ran(2 * n_partitions - 1)
    return list(states)


def _hold(visitors: tuple[AnyVisitor, ...]) -> tuple[AnyVisitor, ...]:
    return visitors


def _walk(reader: BlockReader, blocks: range, visitors: Sequence[AnyVisitor], n_partitions: int) -> Counted:
    reads = 0

    def told(_: int, __: int, block_reads: int) -> None:
        nonlocal reads
        reads += block_reads

    with blas_threads(n_partitions):
        return walk(reader, blocks, visitors, Lender(), told), reads


def _merge(visitors: Sequence[AnyVisitor], one: Counted, other: Counted) -> Counted:
    # A worker may run a task again when another is lost, so the inputs must stay as they are.
    return merge(visitors, copy.deepcopy(one[0]), copy.deepcopy(other[0])), one[1] + other[1]


class _Telling:
    """Tells the progress of each partition once, whether its callback comes before or after the sweep's end."""

    def __init__(self, setup: Settings, blocks: list[int], n_bytes: int) -> None:
        self.progress = setup.progress
        self.blocks = blocks
        self.block_bytes = n_bytes / sum(blocks)
        self.lock = threading.Lock()
        self.waiting = set(range(len(blocks)))

    def callback(self, index: int) -> Any:
        return lambda _: self.done(index)

    def done(self, index: int) -> None:
        with self.lock:
            if index not in self.waiting:
                return
            self.waiting.remove(index)
        self.progress.advance(self.blocks[index], round(self.blocks[index] * self.block_bytes), 0)

    def none_more(self) -> None:
        with self.lock:
            self.waiting.clear()

    def all_done(self, reads: int) -> None:
        for index in sorted(self.waiting):
            self.done(index)
        self.progress.advance(0, 0, reads)
