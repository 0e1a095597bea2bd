"""Small runs that several tests share: phantoms on disk, and what to ask of a run of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from refold.engine.progress import Progress
from refold.pipeline import Outcome, execute
from refold.source import synthetic

# 22 x 25 positions in chunks of 5 x 8: ragged at both ends. No UMAP, whose compilation takes half a minute.
SHAPE, DETECTOR, CHUNKS = (22, 25), (12, 12), (5, 8)
OPTIONS: dict[str, Any] = {"embed": "none", "n_components": 5, "min_cluster_size": 12}


def phantom(**changes: Any) -> synthetic.Phantom:
    """A small 4D-STEM phantom."""
    return synthetic.four_d_stem(**{"shape": SHAPE, "detector": DETECTOR, "phases": 3, "chunks": CHUNKS, **changes})


def run(scan: Any, store: Path, **options: Any) -> Outcome:
    """Do a whole run, quietly and without a page."""
    return execute(scan, store=store, report=False, progress=Progress(), **{**OPTIONS, **options})


def contents(store: Path) -> dict[str, bytes]:
    """Every file of a run but the root's metadata, which holds times: what must be the same, byte for byte."""
    files = (path for path in store.rglob("*") if path.is_file() and path != store / "zarr.json")
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in files}


def split_signal(scan: Path, target: Path, chunks: tuple[int, ...], shards: tuple[int, ...] | None = None) -> Path:
    """The same scan in other chunks, which may split the signal, as a bare Zarr array that names its dims."""
    values = np.asarray(zarr.open_group(scan, mode="r")["diffraction"][...])
    array = zarr.create_array(
        target,
        shape=values.shape,
        dtype=values.dtype,
        chunks=chunks,
        shards=shards,
        dimension_names=["y", "x", "ky", "kx"],
    )
    array[...] = values
    return target


def one_object(out: str) -> Any:
    """What was printed, which must be one line of JSON."""
    assert out.endswith("\n")
    assert "\n" not in out[:-1]
    return json.loads(out)
