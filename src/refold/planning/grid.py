"""How the navigation grid of a scan is cut: chunks into blocks, blocks into partitions.

A block is a union of whole chunks wherever it can be, so that no chunk is decoded for two blocks. It grows along the
last navigation dim first, as files do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from refold.errors import MemoryBudgetError
from refold.planning.budget import format_bytes


@dataclass(frozen=True)
class Grid:
    """A navigation grid cut into blocks, and the blocks into partitions.

    Parameters
    ----------
    edges : tuple of tuple of int
        For each navigation dim, where blocks begin and end: from 0 to the size of the dim.
    n_partitions : int
        Number of runs of consecutive blocks.
    splits_chunks : bool
        Whether some chunk lies in two blocks, and so is read twice in a sweep.

    Examples
    --------
    >>> grid = Grid(edges=((0, 2, 4), (0, 3)), n_partitions=2)
    >>> grid.n_blocks, grid.block(1), grid.partition(1)
    (2, ((2, 4), (0, 3)), range(1, 2))
    """

    edges: tuple[tuple[int, ...], ...]
    n_partitions: int = 1
    splits_chunks: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the navigation dims."""
        return tuple(edge[-1] for edge in self.edges)

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of blocks along each navigation dim."""
        return tuple(len(edge) - 1 for edge in self.edges)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return math.prod(self.counts)

    @property
    def block_pixels(self) -> int:
        """Pixels of the largest block."""
        return math.prod(max(stop - start for start, stop in pairwise(edge)) for edge in self.edges)

    def block(self, index: int) -> tuple[tuple[int, int], ...]:
        """Start and stop of a block along each navigation dim; blocks are numbered in C order."""
        bounds = []
        for edge, count in zip(reversed(self.edges), reversed(self.counts), strict=True):
            index, position = divmod(index, count)
            bounds.append((edge[position], edge[position + 1]))
        return tuple(reversed(bounds))

    def partition(self, index: int) -> range:
        """Blocks of a partition; sizes differ by one at most."""
        return range(self.n_blocks * index // self.n_partitions, self.n_blocks * (index + 1) // self.n_partitions)

    def target_chunks(self, max_pixels: int, *, shared: bool = False) -> tuple[int, ...]:
        """Chunk sizes of an array that blocks are written into, such that no two blocks touch one chunk.

        Parameters
        ----------
        max_pixels : int
            A chunk is made smaller, where that keeps it aligned, until it holds no more pixels than this.
        shared : bool
            Whether blocks may touch one chunk after all. Blocks whose edges have no common divisor, as after a crop of
            the navigation dims, would else want chunks of single pixels.

        Returns
        -------
        tuple of int
            Chunk size along each navigation dim.

        Examples
        --------
        >>> Grid(edges=((0, 32, 64, 70), (0, 64))).target_chunks(max_pixels=1024)
        (16, 64)
        >>> uneven = Grid(edges=((0, 29, 61, 70), (0, 64)))
        >>> uneven.target_chunks(max_pixels=4096), uneven.target_chunks(max_pixels=4096, shared=True)
        ((1, 64), (32, 64))
        """
        largest = [max(stop - start for start, stop in pairwise(edge)) for edge in self.edges]
        chunks = largest if shared else [math.gcd(*edge[1:-1]) or edge[-1] for edge in self.edges]
        for dim, chunk in enumerate(chunks):
            room = max_pixels // (math.prod(chunks) // chunk)
            free = shared or self.counts[dim] == 1  # its chunks need not divide anything
            sizes = range(1, chunk + 1) if free else [size for size in range(1, chunk + 1) if chunk % size == 0]
            chunks[dim] = max((size for size in sizes if size <= room), default=1)
        return tuple(chunks)


def lay_out(
    chunks: Sequence[Sequence[int]],
    pixel_bytes: int,
    block_bytes: int,
    *,
    enough_bytes: int | None = None,
    min_blocks: int = 1,
    max_partitions: int = 64,
) -> Grid:
    """Cut a navigation grid into blocks of whole chunks, as large as allowed and useful.

    Parameters
    ----------
    chunks : sequence of sequence of int
        Chunk sizes along each navigation dim.
    pixel_bytes : int
        Bytes that one pixel costs while its block is in memory.
    block_bytes : int
        Bytes that one block may cost.
    enough_bytes : int, optional
        Bytes past which a larger block gains nothing; chunks are not merged beyond, nor split for that.
    min_blocks : int
        Blocks wanted at least, so that all workers have some; chunks are not split for that.
    max_partitions : int
        Partitions wanted at most.

    Returns
    -------
    Grid
        The blocks. Only where a single chunk with its whole signal costs more than is allowed, is it split.

    Raises
    ------
    MemoryBudgetError
        If not even one pixel fits.

    Examples
    --------
    >>> lay_out([(32, 32, 6), (32, 32)], pixel_bytes=100, block_bytes=250_000).edges
    ((0, 32, 64, 70), (0, 64))
    """
    if pixel_bytes > block_bytes:
        raise MemoryBudgetError(
            f"one pixel that needs {format_bytes(pixel_bytes)}",
            f"at most {format_bytes(block_bytes)}, the share of one block",
            "allow more memory, use fewer workers, or rebin the signal",
        )
    max_pixels = max(1, block_bytes // pixel_bytes)
    enough = max_pixels if enough_bytes is None else min(max_pixels, enough_bytes // pixel_bytes)
    merged = _merge_chunks(chunks, enough, min_blocks)
    edges = [(0, *accumulate(sizes)) for sizes in merged]
    splits = math.prod(max(sizes) for sizes in merged) > max_pixels
    if splits:
        edges = _split(edges, max_pixels)
    n_blocks = math.prod(len(edge) - 1 for edge in edges)
    return Grid(tuple(edges), max(1, min(n_blocks, max_partitions)), splits)


def _merge_chunks(chunks: Sequence[Sequence[int]], max_pixels: int, min_blocks: int) -> list[list[int]]:
    """Merge neighbouring chunks, along the last dim first, while blocks stay small and many enough."""
    merged = [list(sizes) for sizes in chunks]
    for dim in reversed(range(len(merged))):
        sizes = merged[dim]
        others = math.prod(max(other) for i, other in enumerate(merged) if i != dim)
        blocks_else = math.prod(len(other) for i, other in enumerate(merged) if i != dim)
        edges = (0, *accumulate(sizes))  # a table in memory has as many chunks as rows
        best = 1
        for run in range(2, len(sizes) + 1):
            if max(_runs(edges, run)) * others > max_pixels or math.ceil(len(sizes) / run) * blocks_else < min_blocks:
                break
            best = run
        even = math.ceil(len(sizes) / math.ceil(len(sizes) / best))  # as many blocks, of more even size
        if max(_runs(edges, even)) <= max(_runs(edges, best)):
            best = even
        merged[dim] = list(_runs(edges, best))
        if best < len(sizes):
            break
    return merged


def _runs(edges: Sequence[int], run: int) -> Iterator[int]:
    """Sizes of so many neighbours together, from where each begins and the last one ends."""
    last = len(edges) - 1
    return (edges[min(start + run, last)] - edges[start] for start in range(0, last, run))


def _split(edges: list[tuple[int, ...]], max_pixels: int) -> list[tuple[int, ...]]:
    """Cut blocks, along the first dim first, until none holds more pixels than allowed."""
    result = list(edges)
    for dim, edge in enumerate(result):
        others = math.prod(max(b - a for a, b in pairwise(other)) for i, other in enumerate(result) if i != dim)
        step = max(1, max_pixels // others)
        result[dim] = (*(start for a, b in pairwise(edge) for start in range(a, b, step)), edge[-1])
    return result
