"""How a scan is copied into chunks of whole signals, each stored chunk decoded once: in one pass, or in two.

One pass is enough where a block of whole stored chunks that is also a block of whole new chunks fits in memory. Where
it does not (all positions x a few channels in one chunk), chunks are first cut to the pieces that the new ones are made
of, which lie in a store between; then these are put together. So does rechunker (Abernathey and others 2020,
https://rechunker.readthedocs.io): its pieces, too, are the smaller of what is read and what is written along each dim.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from refold.errors import MemoryBudgetError, ParameterError
from refold.planning.budget import format_bytes

Sizes = tuple[int, ...]
Wanted = Sequence[int | None] | None

_WISHED_BYTES = 24 * 2**20  # of a new chunk: large enough to read fast, small enough to hold several
_BLOSC_BYTES = 2**31 - 1  # its format has no more
_MOST_PIECES = 2**20  # files between: more take longer to make than to fill


@dataclass(frozen=True)
class Stored:
    """An array as it is stored.

    Parameters
    ----------
    shape : tuple of int
        Navigation dims first.
    chunks : tuple of int
        What is decoded at once; ones where any region can be read without more.
    n_navigation : int
        How many of the dims are navigation dims.
    itemsize : int
        Bytes of a value.
    wished : int
        Bytes that a new chunk shall have, about.
    whole : bool
        Whether each new chunk must be written at once, as a shard must: writing into one means writing it again.
    uneven : bool
        Whether chunks are of several sizes, `chunks` being the largest; edges of blocks are then anywhere.
    reading : int
        Bytes that computing a chunk takes besides a block, where that is more than decoding one.
    """

    shape: Sizes
    chunks: Sizes
    n_navigation: int
    itemsize: int
    wished: int = _WISHED_BYTES
    whole: bool = False
    uneven: bool = False
    reading: int = 0

    @property
    def signal(self) -> Sizes:
        """Sizes of the signal dims."""
        return self.shape[self.n_navigation :]

    def nbytes(self, sizes: Sequence[int]) -> int:
        """Bytes of a block."""
        return math.prod(sizes) * self.itemsize

    def decoding(self, block: Sequence[int]) -> int:
        """Bytes needed besides a block to read it: a chunk as it is stored, and decoded if it is not the block."""
        chunk = self.nbytes(self.chunks)
        return max(self.reading, chunk if tuple(block) == self.chunks else 2 * chunk)


@dataclass(frozen=True)
class Rechunking:
    """A way from stored chunks to chunks of whole signals.

    Parameters
    ----------
    chunks : tuple of int
        New chunks.
    read : tuple of int
        What is read at once: a union of stored chunks.
    gathered : tuple of int
        What is put together at once: a union of new chunks; in one pass what is read.
    between : tuple of int or None
        Chunks of the store between, or None in one pass.
    workers : int
        How many such blocks fit at once.
    shared : bool
        Whether blocks that are read have edges within the chunks that they are written into, which one at a time may
        then touch.
    """

    chunks: Sizes
    read: Sizes
    gathered: Sizes
    between: Sizes | None = None
    workers: int = 1
    shared: bool = False

    @property
    def passes(self) -> int:
        """Times that every value is written."""
        return 1 if self.between is None else 2


def plan_rechunking(stored: Stored, memory: int, workers: int = 1, wanted: Wanted = None) -> Rechunking:
    """Find a way in one pass, or in two where the blocks of one are too large for the memory.

    Parameters
    ----------
    stored : Stored
        What is there.
    memory : int
        Bytes for blocks, all workers together.
    workers : int
        Blocks at once; fewer are taken where larger blocks need it.
    wanted : sequence of int or None, optional
        Sizes of new chunks along the navigation dims; those that are None are found: tiles as square as the stored
        chunks allow, of 16 to 32 MiB, or less where such a chunk would be too large for a sweep with this memory.

    Returns
    -------
    Rechunking
        The way.

    Raises
    ------
    MemoryBudgetError
        If not even one stored chunk, or one new one, fits.
    ParameterError
        If a wanted chunk is not possible.

    Examples
    --------
    >>> plan_rechunking(Stored((256, 256, 2048), (256, 256, 8), 2, 2), memory=200_000_000)
    Rechunking(chunks=(64, 64, 2048), read=(256, 256, 496), gathered=(64, 192, 2048), between=(64, 192, 496), ...)
    >>> plan_rechunking(Stored((64, 64, 128, 128), (32, 32, 128, 128), 2, 2), memory=200_000_000).between is None
    True
    """
    stored = replace(stored, chunks=_at_most(stored.chunks, stored.shape))
    _check(stored, wanted)
    way = _best(stored, memory, workers, wanted)
    if way is not None:
        return way
    needed = memory
    while _best(stored, needed, workers, wanted) is None:
        digit = 10 ** max(0, len(str(needed)) - 2)
        needed = (needed // digit + 1) * digit
    raise MemoryBudgetError(
        f"stored chunks of {format_bytes(stored.nbytes(stored.chunks))} and pixels of "
        f"{format_bytes(stored.nbytes(stored.signal))}, {format_bytes(stored.nbytes(stored.shape))} in all, "
        f"which needs {format_bytes(needed)}",
        f"at most {format_bytes(memory)}",
        f"allow --memory {format_bytes(needed).replace(' ', '')}" + (", or take smaller --chunks" if wanted else ""),
    )


def _best(stored: Stored, memory: int, workers: int, wanted: Wanted) -> Rechunking | None:
    """One pass, unless two would keep more than twice as many workers busy."""
    share = memory // workers
    wished = min(stored.wished, share // 6 if stored.whole else _readable_bytes(stored.itemsize, share))
    stored = replace(stored, wished=wished)
    one = _with_most_workers(_one_pass, stored, memory, workers, wanted)
    two = _with_most_workers(_two_passes, stored, memory, workers, wanted)
    if one is None or two is None:
        return one or two
    return one if 2 * _busy(stored, one) >= _busy(stored, two) else two


def _busy(stored: Stored, way: Rechunking) -> int:
    """Workers that have a block to read."""
    blocks = math.prod(-(-size // step) for size, step in zip(stored.shape, way.read, strict=True))
    return min(way.workers, blocks)


def _with_most_workers(
    find: Callable[[Stored, int, Wanted], Rechunking | None], stored: Stored, memory: int, workers: int, wanted: Wanted
) -> Rechunking | None:
    """The way of one kind that lets the most workers share the memory."""
    for some in range(workers, 0, -1):
        way = find(stored, memory // some, wanted)
        if way is not None:
            return replace(way, workers=some)
    return None


def _readable_bytes(itemsize: int, share: int) -> int:
    """Largest chunk that is one block in a sweep with this share of the memory, half of which may be for its sums.

    There it is held once more, as floats, and the other half of what is left is kept for the allocator.
    """
    floats = 4 if itemsize <= 4 else 8
    return share // 4 * itemsize // (itemsize + floats)


def _check(stored: Stored, wanted: Wanted) -> None:
    """Refuse sizes that no chunk can have."""
    smallest = tuple(1 if size is None else size for size in wanted or (None,) * stored.n_navigation)
    if min(smallest) < 1:
        raise ParameterError(f"chunks of {smallest}", "sizes of one or more", "leave out the dims that do not matter")
    chunk = stored.nbytes(_at_most(smallest, stored.shape) + stored.signal)
    if chunk > _BLOSC_BYTES and not stored.whole:
        raise ParameterError(
            f"chunks of {format_bytes(chunk)}", f"at most {format_bytes(_BLOSC_BYTES)}", "ask for smaller ones"
        )


def _one_pass(stored: Stored, share: int, wanted: Wanted) -> Rechunking | None:
    """Blocks of whole chunks, stored ones and new ones, where they fit into the share of one worker.

    Where the edges of either are seldom also edges of the other, blocks are whole stored chunks only, if these are the
    larger ones: a new chunk then lies in few blocks, and is seldom written again.
    """
    if stored.whole and stored.uneven:
        return None
    # Squarer chunks are worth a second pass where they would else be smaller than that.
    least = 0 if wanted else min(stored.wished // 6, stored.nbytes(stored.shape))
    for tile in _tiles(stored, wanted):
        way = _with_blocks(stored, share, tile, math.lcm)
        if way is not None and stored.nbytes(way.chunks) >= least:
            return way
    tile = _tiles(stored, wanted)[0] if wanted else tuple(_wished(stored, wanted))
    if stored.whole or any(side > step for side, step in zip(tile, stored.chunks, strict=False)):
        return None
    return _with_blocks(stored, share, tile, lambda step, _: step)


def _with_blocks(stored: Stored, share: int, tile: Sizes, length: Callable[[int, int], int]) -> Rechunking | None:
    """One pass with blocks of a length along each dim that follows from stored and new chunks, if they fit."""
    triples = zip(stored.shape, stored.chunks, tile, strict=False)
    block = tuple(min(size, length(step, side)) for size, step, side in triples)
    whole, chunk = block + stored.signal, tile + stored.signal
    if stored.nbytes(whole) + stored.decoding(whole) + 2 * stored.nbytes(chunk) > share:
        return None
    return Rechunking(chunk, whole, whole, shared=stored.uneven or not _aligned(tile, block, stored.shape))


def _two_passes(stored: Stored, share: int, wanted: Wanted) -> Rechunking | None:
    """Blocks of stored chunks cut to pieces, blocks of new chunks made of these."""
    for tile in _tiles(stored, wanted):
        chunk = tile + stored.signal
        first = stored.nbytes(stored.chunks) + stored.decoding(stored.chunks)
        if max(5 * stored.nbytes(chunk), first + 2 * stored.nbytes(_at_most(chunk, stored.chunks))) > share:
            continue
        # A third each for the block, for a piece of it that is on its way, and for this piece as it is stored.
        read, gathered = stored.chunks, chunk
        room = (share - 2 * stored.nbytes(stored.chunks)) // (3 * stored.itemsize)
        for dim in reversed(range(stored.n_navigation, len(stored.shape))):
            read = _widened(read, dim, stored.shape, room)
        room = (share - 2 * stored.nbytes(chunk)) // (3 * stored.itemsize)
        for dim in reversed(range(stored.n_navigation)):
            gathered = _widened(gathered, dim, stored.shape, room, beside=read)
        between = _at_most(read, gathered)
        if math.prod(-(-size // piece) for size, piece in zip(stored.shape, between, strict=True)) > _MOST_PIECES:
            return None
        shared = stored.uneven or not _aligned(between, read, stored.shape)
        return Rechunking(chunk, read, gathered, between, shared=shared)
    return None


def _widened(block: Sizes, dim: int, shape: Sizes, room: int, beside: Sizes | None = None) -> Sizes:
    """A block as many times as long along a dim as there is room for, on the edges of others where it can be."""
    step, size = block[dim], shape[dim]
    others = math.prod(block) // step
    lengths = [min(size, step * times) for times in range(1, -(-size // step) + 1) if step * times * others <= room]
    if size * others <= room:
        lengths.append(size)
    if beside is not None and beside[dim] < size:
        lengths = [n for n in lengths if n == size or beside[dim] % n == 0 or n % beside[dim] == 0]
    return (*block[:dim], max(lengths, default=step), *block[dim + 1 :])


def _aligned(chunks: Sequence[int], blocks: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether no two blocks touch one chunk."""
    return all(block >= size or block % chunk == 0 for chunk, block, size in zip(chunks, blocks, shape, strict=False))


def _at_most(one: Sequence[int], other: Sequence[int]) -> Sizes:
    return tuple(min(a, b) for a, b in zip(one, other, strict=False))


def _tiles(stored: Stored, wanted: Wanted) -> list[Sizes]:
    """Navigation shapes that new chunks may have, the best first: nearest to a square of the size wished for."""
    navigation = stored.shape[: stored.n_navigation]
    wished, fixed = _wished(stored, wanted), wanted or (None,) * stored.n_navigation
    choices = [
        [near] if side else sorted(set(_sides(size, step, near)))
        for side, size, step, near in zip(fixed, navigation, stored.chunks, wished, strict=False)
    ]
    tiles = sorted(product(*choices), key=lambda tile: (_distance(tile, wished), tuple(-side for side in tile)))
    # What is there already may be somewhat larger.
    most, there = stored.wished * 4 // 3, {stored.chunks[: stored.n_navigation]: stored.wished * 2}
    small = [tile for tile in tiles if stored.nbytes(tile + stored.signal) <= there.get(tile, most)]
    return small or [min(tiles, key=math.prod)]


def _wished(stored: Stored, wanted: Wanted) -> list[int]:
    """The sides that are wanted, and else those of a square."""
    navigation = stored.shape[: stored.n_navigation]
    fixed = [min(side or size, size) for side, size in zip(wanted or navigation, navigation, strict=True)]
    free = [dim for dim in range(stored.n_navigation) if not (wanted and wanted[dim])]
    taken = math.prod(side for dim, side in enumerate(fixed) if dim not in free)
    square = square_sides([navigation[dim] for dim in free], stored.wished // stored.nbytes(stored.signal) // taken)
    for dim, side in zip(free, square, strict=True):
        fixed[dim] = side
    return fixed


def square_sides(sizes: Sequence[int], pixels: int) -> list[int]:
    """Sides of a box of so many pixels at most, as near to a cube as the sizes of the dims allow."""
    sides = [1] * len(sizes)
    left = sorted(range(len(sizes)), key=lambda dim: sizes[dim])
    while left:
        dim = left.pop(0)
        sides[dim] = max(1, min(sizes[dim], round(max(1, pixels) ** (1 / (len(left) + 1)))))
        pixels //= sides[dim]
    return sides


def _sides(size: int, step: int, near: int) -> Iterator[int]:
    """Sides that are a multiple, or a divisor, of the stored chunk's; any along a dim that is one chunk."""
    yield min(size, step)
    yield size
    if step >= size or step == 1:
        yield from (-(-size // parts) for parts in {1, -(-size // near), max(1, size // near)})
        yield from (2**power for power in range(size.bit_length()) if 2**power < size)
    if step >= size:
        return
    yield from (side for side in range(1, step) if step % side == 0)
    yield from (step * times for times in {*range(1, 9), near // step, -(-near // step)} if 0 < step * times < size)
    yield from (step * 2**power for power in range(size.bit_length()) if step * 2**power < size)


def _distance(tile: Sizes, wished: Sequence[int]) -> float:
    return sum(math.log(side / near) ** 2 for side, near in zip(tile, wished, strict=True))
