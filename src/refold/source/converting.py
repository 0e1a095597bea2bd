"""`convert`: any scan, in whatever chunks, becomes a Zarr store whose chunks hold whole signals."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import xarray as xr

from refold.cube import navigation_dims
from refold.engine import settings
from refold.engine.display import progress_for_terminal
from refold.engine.progress import Progress
from refold.engine.resident import peak_memory, reset_peak
from refold.errors import MemoryBudgetError, ParameterError
from refold.planning import format_bytes
from refold.planning.rechunking import Rechunking, Sizes, plan_rechunking
from refold.planning.sharding import chunks_in_shard, for_shards, wanted_shards
from refold.source.checksums import as_text
from refold.source.copying import Place, bounded_writes, copy, create, verify
from refold.source.finding import origin_of
from refold.source.given import Given, given_of
from refold.source.placing import remove, written_whole
from refold.source.resuming import Journal, check_there


@dataclass(frozen=True)
class Converted:
    """What `convert` did, for people and for programs.

    Parameters
    ----------
    store : Path
        The new store.
    signal : str
        Name of its scan.
    chunks : dict of str to int
        Size of a chunk along each dim.
    passes : int
        Times that every value was written: twice where blocks of whole signals were too large for one pass.
    bytes_read, bytes_stored : int
        Of the scan, decoded; and of the new store, as it is on disk.
    peak_memory : int
        Highest resident memory of this process, in bytes.
    seconds : float
        In all.
    checksum : str
        Of the values, as they were read and written; see `refold.checksum`.
    shards : dict of str to int or None
        Size of a shard along each dim, if there are any.
    verified : bool
        Whether the store was read again and compared.
    """

    store: Path
    signal: str
    chunks: Mapping[str, int]
    passes: int
    bytes_read: int
    bytes_stored: int
    peak_memory: int
    seconds: float
    checksum: str
    shards: Mapping[str, int] | None = None
    verified: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        shards = dict(self.shards) if self.shards else None
        return {**vars(self), "store": str(self.store), "chunks": dict(self.chunks), "shards": shards}


def convert(
    scan: str | os.PathLike[str] | Any,
    target: str | os.PathLike[str],
    *,
    signal: str | None = None,
    chunks: Mapping[str, int] | None = None,
    shards: bool | Mapping[str, int] = False,
    memory: int | str | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    verify: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Converted:
    """Copy a scan into a Zarr v3 store whose chunks hold whole signals, in bounded memory.

    Each stored chunk of the scan is decoded once, however it cuts the signal. What `refold.open` then finds in the new
    store is the same cube: values, dtype, dims, coordinates and attributes, but for those that say how the file was
    read (``source``, ``reader``, ``read_whole``). A cube that was prepared, as by `refold.rebin` or `refold.crop`, is
    prepared on the way.

    Parameters
    ----------
    scan : str, path, Zarr store, zarr.Array, zarr.Group or xarray.DataArray
        Whatever `refold.open` opens; or a cube, lazy or in memory.
    target : path-like
        The new store; it is there when it is whole.
    signal : str, optional
        Which signal, in a file that holds several.
    chunks : mapping of str to int, optional
        Sizes of the new chunks along navigation dims, as in ``{"y": 32, "x": 32}``. By default tiles as square as the
        stored chunks allow, of 16 to 32 MiB with their signals; in shards of about 1 MiB.
    shards : bool or mapping of str to int
        Whether chunks are put together in shards, each one file: by default of up to 128 MiB, or of these sizes along
        navigation dims.
    memory : int or str, optional
        Bytes for blocks, or a size such as ``"2GB"``; by default a quarter of what is free. At least about twice the
        largest of the stored chunks.
    workers : int, optional
        Blocks in flight; by default one for each core.
    overwrite : bool
        Whether a store that is at the target may go, once the new one is whole.
    resume : bool
        Whether to go on with what is left of such a conversion that was killed, and to leave what is done, hidden
        beside the target, if this one is. It ends with the same bytes.
    verify : bool
        Whether to read the new store again and compare, before it gets its name.
    progress : Progress, optional
        Told of every block; by default a bar if standard error is a terminal.
    **options
        As for `refold.open`: ``shape``, ``dtype``, ``offset``, ``signal_dims``, ``reader``.

    Returns
    -------
    Converted
        What was done.

    Raises
    ------
    StoreExistsError
        If there is something at the target, unless ``overwrite``.
    MemoryBudgetError
        If the largest stored chunk does not fit.
    DiskFullError
        If the disk fills up; nothing is left of the new store then, as after any other error, unless ``resume``.
    ParameterError
        If chunks of that kind are not possible, the target lies in the scan, or what is to be resumed was begun with
        another scan, other metadata or other options.
    StoreError
        If what is to be resumed cannot be read, or part of it is gone.
    SourceError
        If the new store does not hold what was read; it names the chunk.
    CubeError
        If the scan has no navigation or no signal dims.

    Notes
    -----
    Where blocks of whole stored chunks with whole signals are too large for the memory (all positions x a few channels
    in each chunk), there are two passes, with pieces of chunks in a store beside the target between them, which needs
    room on the disk meanwhile. See `refold.planning.rechunking`.

    Values are added up as they are read and as they are written to a checksum that does not depend on chunks
    (`refold.checksum`); it is kept in the attribute ``refold`` of the new group.

    Examples
    --------
    >>> import tempfile, numpy as np, refold, zarr
    >>> folder = tempfile.mkdtemp()
    >>> tall = zarr.create_array(folder + "/tall.zarr", shape=(8, 8, 64), chunks=(8, 8, 1), dtype="uint16")
    >>> convert(tall, folder + "/scan.zarr").chunks
    {'y': 8, 'x': 8, 'channel': 64}
    """
    began, target = time.perf_counter(), Path(target).expanduser()
    reset_peak()
    _check_apart(scan, target)
    given = given_of(scan, signal, options)
    asked = _Asked(_along_navigation(chunks, given), shards if isinstance(shards, bool) else _whole(shards, "shards"))
    with (
        settings(memory=memory, workers=workers, progress=progress or progress_for_terminal()) as setup,
        written_whole(target, overwrite, within="store", keep=resume) as folder,
        bounded_writes(),
    ):
        journal = Journal(folder / "journal", {**given.identity, **asdict(asked)})
        way = asked.way(given, setup.budget.memory, setup.n_workers, journal)
        place = Place(folder / "store", folder / "between", *_place_of(given.name, given.cube))
        inner = asked.begin(given, way, place, journal)
        with settings(workers=way.workers):
            sums = copy(given.read(way.read), place, way, journal)
            if verify:
                _verify(place, given.cube, way, sums)
        place.note(checksum=as_text(sums))
    dims = list(map(str, given.cube.dims))
    return Converted(
        store=target,
        signal=given.name,
        chunks=dict(zip(dims, inner, strict=True)),
        passes=way.passes,
        bytes_read=given.cube.nbytes,
        bytes_stored=sum(file.stat().st_size for file in target.rglob("*") if file.is_file()),
        peak_memory=peak_memory(),
        seconds=time.perf_counter() - began,
        checksum=as_text(sums),
        shards=dict(zip(dims, way.chunks, strict=True)) if asked.shards else None,
        verified=verify,
    )


_verify = verify  # which `convert` has as an option


@dataclass(frozen=True)
class _Asked:
    """What chunks are asked for.

    Parameters
    ----------
    chunks : list of int or None, optional
        Sizes along the navigation dims.
    shards : bool or mapping of str to int
        As for `convert`.
    """

    chunks: list[int | None] | None
    shards: bool | Mapping[str, int]

    def way(self, given: Given, memory: int, workers: int, journal: Journal) -> Rechunking:
        """How to go about it: as it was begun, if it was."""
        if journal.way:
            return _as_begun(journal.way, memory, workers)
        if not self.shards:
            return plan_rechunking(given.stored, memory, workers, self.chunks)
        stored = for_shards(given.stored)
        sizes = wanted_shards(stored, self.chunks)
        if not isinstance(self.shards, bool):
            sizes = _along_navigation(self.shards, given, "shards") or sizes
        for shard, chunk in zip(sizes, self.chunks or [None] * len(sizes), strict=True):
            if chunk is not None and shard is not None and shard % chunk:
                raise ParameterError(
                    f"chunks of {chunk} in shards of {shard}", "shards of whole chunks", "choose again"
                )
        return plan_rechunking(stored, memory, workers, None if set(sizes) == {None} else sizes)

    def begin(self, given: Given, way: Rechunking, place: Place, journal: Journal) -> Sizes:
        """Make the new array, unless that was done before; return the sizes of its chunks."""
        inner = chunks_in_shard(way.chunks, given.stored, self.chunks) if self.shards else way.chunks
        if journal.way:
            check_there(place.store / "zarr.json", place.path / "zarr.json")
            if journal.done("cut"):
                check_there(place.between / "zarr.json")
            for left in place.store.rglob("*.partial"):  # what zarr-python was writing when it was killed
                left.unlink()
            return inner
        for folder in (place.store, place.between):
            remove(folder)
        shards = tuple(-(-side // step) * step for side, step in zip(way.chunks, inner, strict=True))
        create(given.cube, place, inner, shards if self.shards else None, {"converted_from": given.where})
        journal.begin(asdict(way) | {"memory": _share(way, given)})
        return inner


def _share(way: Rechunking, given: Given) -> int:
    """Bytes that one worker needs, about."""
    largest = max(given.stored.nbytes(way.read), given.stored.nbytes(way.gathered))
    return largest + given.stored.decoding(way.read)


def _as_begun(told: Mapping[str, Any], memory: int, workers: int) -> Rechunking:
    """The way that a conversion was begun, with the workers that fit now."""
    fitting = min(workers, memory // max(1, told["memory"]))
    if not fitting:
        raise MemoryBudgetError(
            f"blocks of {format_bytes(told['memory'])}, with which it was begun",
            f"at most {format_bytes(memory)}",
            f"allow --memory {format_bytes(2 * told['memory']).replace(' ', '')}, or begin anew without resume",
        )
    sizes = {name: tuple(told[name]) for name in ("chunks", "read", "gathered")}
    between = tuple(told["between"]) if told["between"] else None
    return Rechunking(**sizes, between=between, workers=fitting, shared=told["shared"])


def _whole(sizes: Mapping[str, int], what: str) -> dict[str, int]:
    """Sizes, if they can be such."""
    for dim, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            raise ParameterError(
                f"{what} of {size!r} along {dim!r}",
                "whole numbers of at least 1",
                "leave out the dims along which any size will do",
            )
    return {dim: int(size) for dim, size in sizes.items()}


def _along_navigation(sizes: Mapping[str, int] | None, given: Given, what: str = "chunks") -> list[int | None] | None:
    """Sizes in the order of the navigation dims."""
    navigation = navigation_dims(given.cube)
    wrong = [dim for dim in sizes or {} if dim not in navigation]
    if wrong:
        raise ParameterError(
            f"{what} along {wrong}", f"navigation dims, {navigation}", "leave out the others: signals stay whole"
        )
    if not sizes:
        return None
    found = _whole(sizes, what)
    return [found.get(dim) for dim in navigation]


def _check_apart(scan: Any, target: Path) -> None:
    """Refuse to write a store into the scan, or in its place: it would be gone if its copy is not what was wanted."""
    if isinstance(scan, xr.DataArray):
        scan = scan.attrs.get("source")
    if not isinstance(scan, str | os.PathLike):
        return
    here, there = Path(origin_of(scan)).resolve(), target.absolute().resolve()
    if here == there or there in here.parents or (here in there.parents and here.exists()):
        raise ParameterError(f"{target}, which is the scan, or in it", "another place", "choose another output")


def _place_of(name: str, cube: xr.DataArray) -> tuple[str | None, str]:
    """Group and name of the array in the new store, so that it is opened under the same name, if Zarr allows that."""
    group, _, leaf = name.rpartition("/")
    forbidden = any(not part.strip(".") or part.startswith("__") for part in name.split("/"))
    if forbidden or leaf in cube.dims:
        return None, "data" if "data" not in cube.dims else "scan"
    return group or None, leaf
