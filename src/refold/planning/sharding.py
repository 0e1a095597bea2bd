"""How large shards are, and the chunks in them."""

from __future__ import annotations

from dataclasses import replace

from refold.planning.rechunking import Sizes, Stored, Wanted, square_sides

_SHARD_BYTES = 128 * 2**20  # few files, each still written from memory
_INNER_BYTES = 2**20  # of a chunk in a shard: what is worth a request of its own


def wanted_shards(stored: Stored, chunks: Wanted) -> list[int | None]:
    """Sizes of shards along the navigation dims, in whole chunks where these are given.

    Parameters
    ----------
    stored : Stored
        The array.
    chunks : sequence of int or None, optional
        Sizes wanted of chunks.

    Returns
    -------
    list of int or None
        None where any size will do.

    Examples
    --------
    >>> wanted_shards(Stored((256, 256, 2048), (1, 256, 2048), 2, 2), [24, 24])
    [168, 168]
    """
    if not chunks:
        return [None] * stored.n_navigation
    navigation = stored.shape[: stored.n_navigation]
    square = square_sides(navigation, _SHARD_BYTES // stored.nbytes(stored.signal))
    return [
        None if chunk is None else -(-size // chunk) * chunk if side == size else max(1, side // chunk) * chunk
        for chunk, side, size in zip(chunks, square, navigation, strict=True)
    ]


def for_shards(stored: Stored) -> Stored:
    """Describe an array that is to be put into shards.

    Parameters
    ----------
    stored : Stored
        The array.

    Returns
    -------
    Stored
        The same, to be written in larger pieces, each at once.

    Examples
    --------
    >>> for_shards(Stored((256, 256, 2048), (1, 256, 2048), 2, 2)).whole
    True
    """
    return replace(stored, whole=True, wished=_SHARD_BYTES)


def chunks_in_shard(shard: Sizes, stored: Stored, chunks: Wanted) -> Sizes:
    """Sizes of the chunks in a shard: those given, else about 1 MiB, as square as what divides the shard allows.

    Parameters
    ----------
    shard : tuple of int
        Along all dims.
    stored : Stored
        The array.
    chunks : sequence of int or None, optional
        Sizes wanted along the navigation dims.

    Returns
    -------
    tuple of int
        Along all dims; the signal is whole.

    Examples
    --------
    >>> chunks_in_shard((64, 96, 2048), Stored((256, 256, 2048), (1, 256, 2048), 2, 2), None)
    (16, 16, 2048)
    """
    tile = shard[: stored.n_navigation]
    square = square_sides(tile, _INNER_BYTES // stored.nbytes(stored.signal))
    found = [max(n for n in range(1, side + 1) if size % n == 0) for size, side in zip(tile, square, strict=True)]
    given = chunks or [None] * len(tile)
    return (*(min(own or side, size) for own, side, size in zip(given, found, tile, strict=True)), *stored.signal)
