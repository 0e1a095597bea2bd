"""A terabyte on a small machine: the whole run from a raw scan of any size to every pixel's label, in fixed memory.

    python -m benchmarks.terabyte --size 10GB
    python -m benchmarks.terabyte --size 1TB --memory 3GB --folder FOLDER --write

The scan is one of 2048 x 2048 patterns of 256 x 512 counts (1.1 TB of uint16), or less of it. It is served by
`benchmarks.tiled`: every chunk is read and decoded, and the truth is known. The phantom, and the run while it goes on,
lie in the folder; features of a terabyte take tens of gigabytes there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.child import resident
from benchmarks.measure import Case, Contender, Work, alternate
from benchmarks.reading import in_threads
from benchmarks.tables import PAGES, Table, short
from benchmarks.tiled import TiledStore

SIGNAL, TILE, MOST = (256, 512), 8, 2048
BINNING = {"ky": 8, "kx": 8}  # 32 x 64: 2048 features
PIXEL = 2 * SIGNAL[0] * SIGNAL[1]
"""Bytes of one pattern."""


def phantom(folder: Path, side: int = 256) -> Path:
    """The scan that is repeated: patterns of 16 000 electrons, a rare phase among them."""
    import refold

    path = folder / f"repeated-{side}x{side}x{SIGNAL[0]}x{SIGNAL[1]}.zarr"
    if not path.exists():
        made = refold.synthetic.four_d_stem((side, side), SIGNAL, dose=16_000, rare=(side * side // 500,))
        made.save(path, (TILE, TILE))
    return path


def scan_of(folder: Path, n_bytes: int, side: int = 256) -> TiledStore:
    """A square scan of about so many bytes, its edge a multiple of the chunks'."""
    wanted = round((n_bytes / PIXEL) ** 0.5 / TILE) * TILE
    edge = min(MOST, max(TILE, wanted))
    return TiledStore(phantom(folder, side), (edge, edge))


def data_memory(cube: Any, total: int, **options: Any) -> tuple[int, Any]:
    """What a run may hold as data so that its forecast of all resident memory stays below a total."""
    import refold

    allowed = total
    while True:
        forecast = refold.plan(cube, memory=allowed, check=False, **options)
        if forecast.peak_memory <= total:
            return allowed, forecast
        allowed = int(allowed * 0.93)


def decode(case: Case) -> Work:
    """Every chunk read from the store and decoded into its thread's buffer."""
    import threading

    from numcodecs import blosc

    store = TiledStore(case["phantom"], tuple(case["shape"]))
    keys = [f"c/{y}/{x}/0/0" for y in range(store.shape[0] // TILE) for x in range(store.shape[1] // TILE)]

    def work() -> None:
        blosc.use_threads = False
        local = threading.local()

        def one(key: str) -> None:
            if not hasattr(local, "block"):
                local.block = np.empty((TILE, TILE, *SIGNAL), np.uint16)
            blosc.decompress(store.found(key), local.block)

        in_threads(one, keys)

    return work


def whole_run(case: Case) -> Work:
    """From the raw scan to labels and report."""
    import refold

    store = TiledStore(case["phantom"], tuple(case["shape"]))
    cube = refold.open(store)
    options: dict[str, Any] = {"rebin": BINNING, "random_state": 0}
    memory, forecast = data_memory(cube, case["memory"], **options)
    place = Path(case["folder"]) / f"scan-{store.shape[0]}.run.zarr"
    shutil.rmtree(place, ignore_errors=True)

    def work() -> Any:
        return place, forecast, refold.run(cube, store=place, memory=memory, **options)

    return work


def whole_facts(case: Case, result: Any) -> dict[str, Any]:
    from sklearn.metrics import adjusted_rand_score

    place, forecast, found = result
    store = TiledStore(case["phantom"], tuple(case["shape"]))
    labels = found["labels"].values
    note = json.loads((place / "zarr.json").read_text())["attributes"]["refold"]
    stages = {name: stage["seconds"] for name, stage in note["stages"].items()}
    written = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    facts = {
        "resident": resident("VmHWM"),
        "planned_memory": forecast.peak_memory,
        "planned_seconds": forecast.seconds,
        "ari": float(adjusted_rand_score(store.truth.ravel(), labels.ravel())),
        "clusters": int(labels.max()) + 1,
        "stages": stages,
        "written": written,
    }
    if not case["keep"]:
        shutil.rmtree(place)
        place.with_suffix(".html").unlink(missing_ok=True)
    return facts


CONTENDERS = {
    "decode": Contender("bare decode", decode),
    "run": Contender("whole run", whole_run, facts=whole_facts, fresh=True),
}
HEAD = (
    "scan", "pixels", "minutes", "bare decode = 1", "forecast, minutes", "peak, GB", "forecast, GB", "written, GB",
    "clusters", "ARI",
)  # fmt: skip


def row(store: TiledStore, case: Case) -> tuple[list[str], str]:
    """Measure one size: its row, and the seconds of its stages."""
    found = alternate("benchmarks.terabyte", CONTENDERS if case["limit"] else ("run",), case, rounds=1)
    runs, limit = found["run"], found["decode"].median() if "decode" in found else None
    n_bytes = PIXEL * store.shape[0] * store.shape[1]
    name = f"{short(n_bytes / 1e9)} GB"
    if not runs.samples:
        return [name, runs.missing, *[""] * (len(HEAD) - 2)], ""
    (told,) = runs.samples
    numbers = [told["seconds"] / 60, told["seconds"] / limit if limit else None, told["planned_seconds"] / 60]
    numbers += [told["resident"] / 1e9, told["planned_memory"] / 1e9, told["written"] / 1e9]
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in told["stages"].items())
    cells = [name, f"{store.shape[0]} x {store.shape[1]}", *map(short, numbers), str(told["clusters"])]
    return [*cells, f"{told['ari']:.4f}"], f"{name}, seconds of the stages: {stages}."


def main() -> None:
    from refold.planning import parse_bytes

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", default=["10GB"], help="of the raw scan: 10GB, 100GB, 1TB, ...")
    parser.add_argument("--memory", default="3GB", help="of the whole process")
    parser.add_argument("--folder", type=Path, help="of phantom and run; a temporary one by default")
    parser.add_argument("--phantom-side", type=int, default=256, help="edge of the phantom that is repeated, in pixels")
    parser.add_argument("--no-limit", action="store_true", help="leave out bare decode, minutes for a terabyte")
    parser.add_argument("--keep", action="store_true", help="keep the runs")
    parser.add_argument("--write", action="store_true", help="write docs/performance/terabyte.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="refold-terabyte-") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        rows, notes = [], []
        for size in options.size:
            store = scan_of(folder, parse_bytes(size), options.phantom_side)
            case = {
                "phantom": str(store.phantom),
                "shape": store.shape,
                "memory": parse_bytes(options.memory),
                "folder": str(folder),
                "keep": options.keep,
                "limit": not options.no_limit,
            }
            cells, note = row(store, case)
            rows.append(cells)
            notes.append(note)
            print(note, file=sys.stderr, flush=True)
        table = Table(f"Whole runs within {options.memory}", HEAD, rows, "\n".join(filter(None, notes)))
        print(table)
        if options.write:
            write(table, options)


def write(table: Table, options: argparse.Namespace) -> None:
    from benchmarks.tables import write_page

    sizes = " ".join(options.size)
    how = f"`python -m benchmarks.terabyte --size {sizes} --memory {options.memory} --write`, each once."
    write_page("terabyte", ABOUT, [table], how)
    print(f"written: {PAGES.name}/terabyte.md", file=sys.stderr)


ABOUT = """A terabyte on a small machine.

The whole run, raw scan to every pixel's label and the report, on scans of patterns of 256 x 512 counts (uint16, zstd 3
with bit shuffle, chunks of 8 x 8 patterns), rebinned 8 x 8 to 2 048 features. No disk here holds the largest of them:
a read-only Zarr store serves the compressed chunks of a phantom of 256 x 256 patterns under the keys of the large
scan, over and over, so every chunk is read, decoded and reduced, and the truth is known. Each run is one process of
its own. *Peak* is the highest resident memory of that process in all; the forecast beside it is what `refold plan`
says before.
"""


if __name__ == "__main__":
    main()
