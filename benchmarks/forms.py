"""Features: in which form they are cheapest to write and to read again.

A run writes the prepared features once, and every sweep of the reduction reads them. Each row writes those of a
rebinned 4D-STEM scan (uint32) from memory, in chunks as a run has them, and reads them again with a visitor that does
nothing. A run takes lz4 with bit shuffle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import scans
from benchmarks.measure import Case, Contender, Work, alternate
from benchmarks.raw_pass import FACTOR, WRITTEN, a_folder, removed
from benchmarks.reading import Empty
from benchmarks.tables import Table, compare, fact

CODECS = {
    "none": ("uncompressed", None),
    "lz4": ("lz4-1, bit shuffle", ("lz4", 1, "bitshuffle")),
    "lz4-5": ("lz4-5, bit shuffle", ("lz4", 5, "bitshuffle")),
    "lz4-bytes": ("lz4-1, byte shuffle", ("lz4", 1, "shuffle")),
    "zstd": ("zstd-1, bit shuffle", ("zstd", 1, "bitshuffle")),
    "zstd-3": ("zstd-3, bit shuffle", ("zstd", 3, "bitshuffle")),
}


def written(codec: tuple[str, int, str] | None) -> Callable[[Case], Work]:
    def setup(case: Case) -> Work:
        import zarr
        from zarr.codecs import BloscCodec

        import refold
        from refold.engine import plan_grid

        cube = refold.rebin(refold.open(case["scan"]), {"ky": FACTOR, "kx": FACTOR})
        grid = plan_grid(cube)
        chunks = (*grid.target_chunks(1024), *cube.shape[2:])
        blosc = BloscCodec(cname=codec[0], clevel=codec[1], shuffle=codec[2]) if codec else None
        values = cube.compute()

        def work() -> Path:
            folder = a_folder(case)
            array = zarr.create_array(
                folder / "features.zarr", shape=cube.shape, chunks=chunks, dtype=cube.dtype, compressors=blosc
            )
            refold.sweep(values, refold.ZarrWriter(array), grid=grid)
            return folder

        return work

    return setup


def read_again(case: Case, folder: Path) -> dict[str, Any]:
    """Seconds of a sweep over what was written, the best of three; and its bytes."""
    import time

    import refold

    cube, seconds = refold.open(folder / "features.zarr", signal_dims=("ky", "kx")), []
    for _ in range(3):
        start = time.perf_counter()
        refold.sweep(cube, Empty())
        seconds.append(time.perf_counter() - start)
    return {"again": min(seconds), **removed(case, folder)}


CONTENDERS = {key: Contender(title, written(codec), facts=read_again) for key, (title, codec) in CODECS.items()}


def run(setup: scans.Setup) -> Iterator[Table]:
    scan = scans.diffraction(setup.folder, 64 if setup.quick else 256)
    case = {"scan": str(scan), "folder": str(setup.folder)}
    warm = {**case, "scan": str(scans.diffraction(setup.folder, 32))}
    found = alternate(__name__, CONTENDERS, case, warm=warm, **setup.counts)
    columns = [("read again, seconds", fact("again")), WRITTEN]
    yield compare("Writing and reading features", found, base="none", head="uncompressed = 1", columns=columns)
