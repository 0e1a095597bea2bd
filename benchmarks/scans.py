"""The phantoms that are measured on: made once in a folder, found there again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Setup:
    """How a group is to be run."""

    folder: Path
    rounds: int = 5
    slow_rounds: int = 5
    quick: bool = False
    large: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """Rounds, for `alternate`."""
        return {"rounds": self.rounds, "slow_rounds": self.slow_rounds}


def diffraction(folder: Path, side: int, detector: int = 128, tile: int = 32) -> Path:
    """A 4D-STEM scan of side x side patterns: Zarr v3, Blosc with zstd 3 and bit shuffle, chunks of whole patterns."""
    import refold

    made = refold.synthetic.four_d_stem((side, side), (detector, detector), rare=(40,) if side >= 64 else ())
    return _saved(made, folder / f"diffraction-{side}x{side}x{detector}x{detector}.zarr", tile)


def spectra(folder: Path, side: int, channels: int = 2048, tile: int = 64) -> Path:
    """An X-ray spectrum image."""
    import refold

    made = refold.synthetic.eds((side, side), channels)
    return _saved(made, folder / f"eds-{side}x{side}x{channels}.zarr", tile)


def reflectance(folder: Path, side: int, bands: int = 173, tile: int = 125) -> Path:
    """A remote-sensing cube of float32, five surfaces."""
    import refold

    made = refold.synthetic.reflectance((side, side), bands, phases=5)
    return _saved(made, folder / f"reflectance-{side}x{side}x{bands}.zarr", tile)


def _saved(phantom: Any, path: Path, tile: int) -> Path:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        phantom.save(path, (tile, tile))
    return path


def features(folder: Path, scan: Path) -> Path:
    """The 2 x 2 rebinned form of a 4D-STEM scan, written as a run writes its features: lz4 with bit shuffle."""
    import zarr
    from zarr.codecs import BloscCodec

    import refold

    path = folder / f"{scan.stem}-features.zarr"
    if not path.exists():
        partial = path.with_name(f".{path.name}.partial")
        cube = refold.rebin(refold.open(scan), {"ky": 2, "kx": 2})
        chunks = tuple(sizes[0] for sizes in cube.chunks)
        codec = BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle")
        options: dict[str, Any] = {"compressors": codec, "dimension_names": [str(dim) for dim in cube.dims]}
        group = zarr.open_group(partial, mode="w")
        target = group.create_array("features", shape=cube.shape, dtype=cube.dtype, chunks=chunks, **options)
        refold.sweep(cube, refold.ZarrWriter(target, shared=True))
        partial.replace(path)
    return path


def array_of(scan: str | Path) -> tuple[Path, dict[str, Any]]:
    """Folder and metadata of the array with the most dims in a Zarr v3 store."""
    listed = [(path.parent, json.loads(path.read_text())) for path in sorted(Path(scan).rglob("zarr.json"))]
    arrays = [(folder, note) for folder, note in listed if note["node_type"] == "array"]
    return max(arrays, key=lambda item: len(item[1]["shape"]))


def n_bytes(scan: str | Path) -> int:
    """Decoded size of a scan."""
    note = array_of(scan)[1]
    return int(np.prod(note["shape"], dtype=np.int64)) * np.dtype(note["data_type"]).itemsize
