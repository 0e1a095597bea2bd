"""`convert`, continued: cubes in, shards and checksums out, verified, and resumed after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import refold
from refold.engine.progress import Progress
from refold.errors import MemoryBudgetError, ParameterError, RefoldWarning, SourceError, StoreError, StoreExistsError
from refold.planning.rechunking import Stored
from refold.planning.sharding import chunks_in_shard
from refold.source import convert
from refold.source.checksums import Checksums, weights
from refold.source.copying import Place
from refold.source.placing import remove
from refold.source.resuming import Journal
from refold.source.trees import NOTE, note_of, unpack
from tests.guards import count_reads, limit_memory
from tests.source.stores import counts
from tests.strategies import DTYPES, chunkings, cubes

QUIET = Progress()


def tall_scan(path: Path, shape: tuple[int, ...] = (16, 12, 40), chunks: tuple[int, ...] = (16, 12, 3)) -> Path:
    """All positions, and a few channels, in each chunk."""
    zarr.create_array(path, data=counts(shape), chunks=chunks)
    return path


def files(store: Path) -> dict[str, bytes]:
    return {str(file.relative_to(store)): file.read_bytes() for file in sorted(store.rglob("*")) if file.is_file()}


# --- checksums --------------------------------------------------------------------------------------------------------


def plain_checksum(values: np.ndarray, n_navigation: int) -> str:
    """By the definition, with integers of any length."""
    pixels = int(np.prod(values.shape[:n_navigation]))
    bits = np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}").reshape(pixels, -1)
    rows = weights(np.arange(pixels, dtype="u8"))
    columns = weights(np.arange(bits.shape[1], dtype="u8") + np.uint64(0x632BE59BD9B4E019))
    total = sum(int(bits[i, j]) * int(rows[i]) * int(columns[j]) for i in range(pixels) for j in range(bits.shape[1]))
    return f"{total % 2**64:016x}"


@given(cubes(dtypes=(*DTYPES, "bool", "float16", "uint64"), invalid=True, max_side=4), st.data())
def test_a_checksum_is_of_the_values_alone(cube, data):
    cube = cube.load()
    expected = plain_checksum(cube.values, sum(cube[dim].attrs["role"] == "navigation" for dim in cube.dims))
    cut = cube.chunk(dict(zip(cube.dims, data.draw(chunkings(cube.shape)), strict=True)))
    assert refold.checksum(cube) == expected
    assert refold.checksum(cut) == expected


def test_whatever_changes_changes_the_checksum():
    values = counts((6, 5, 7))
    told = {refold.checksum(refold.as_cube(values, signal="energy"))}
    others = [values[::-1], values[:, ::-1], values[..., ::-1], values.swapaxes(0, 1), values + 1, values.astype("f4")]
    for place in np.ndindex(2, 2, 2):
        changed = values.copy()
        changed[place] ^= 1
        others.append(changed)
    told |= {refold.checksum(refold.as_cube(other, signal="energy")) for other in others}
    assert len(told) == len(others) + 1


def test_tiles_add_up():
    values = counts((6, 5, 7))
    cube = refold.as_cube(values, signal="energy")
    tiled, whole = refold.sweep(cube, Checksums(cube.shape, 2, (4, 2)), Checksums(cube.shape, 2))
    assert tiled.shape == (2, 3)
    assert tiled.sum(dtype="u8") == whole.sum(dtype="u8")


@pytest.mark.parametrize("memory", ["12kB", "1GB"])
def test_what_is_written_is_what_was_read(tmp_path, memory):
    source = tall_scan(tmp_path / "tall.zarr")
    done = convert(source, tmp_path / "scan.zarr", memory=memory, workers=2, verify=True)
    assert done.verified
    assert done.checksum == refold.checksum(refold.open(source)) == refold.checksum(refold.open(tmp_path / "scan.zarr"))
    assert zarr.open_group(tmp_path / "scan.zarr").attrs["refold"]["checksum"] == done.checksum
    assert done.as_dict()["checksum"] == done.checksum


@pytest.mark.parametrize("shards", [False, True])
def test_a_chunk_that_is_not_what_was_written_is_named(tmp_path, monkeypatch, shards):
    source = tall_scan(tmp_path / "tall.zarr")
    array, spoilt = Place.array, []

    def spoiling(self: Place) -> Any:
        """The array, in which a value changes after all is written."""
        found = array(self)
        if spoilt:
            found[9, 5, 3] += 1
        spoilt.append(True)
        return found

    monkeypatch.setattr(Place, "array", spoiling)
    sizes = {"y": 8, "x": 4}
    options: dict[str, Any] = {"shards": sizes} if shards else {"chunks": sizes}
    with pytest.raises(SourceError, match=rf"{'shard' if shards else 'chunk'} \(1, 1, 0\) of 'tall'.*0 others"):
        convert(source, tmp_path / "scan.zarr", verify=True, workers=1, **options)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tall.zarr"]


# --- cubes ------------------------------------------------------------------------------------------------------------


@given(st.data())
def test_any_cube_can_be_converted(tmp_path_factory, data):
    """Lazy or not, in chunks of any sizes, in shards or not, with whatever memory."""
    cube = data.draw(cubes(invalid=True))
    folder = tmp_path_factory.mktemp("cube")
    options: dict[str, Any] = {"shards": data.draw(st.booleans()), "workers": 2, "progress": QUIET, "verify": True}
    memory = data.draw(st.sampled_from([2_000, 20_000, 10**8]))
    try:
        done = convert(cube, folder / "a.zarr", memory=memory, **options)
    except MemoryBudgetError as error:
        done = convert(cube, folder / "a.zarr", memory=error.remedy.split("--memory ")[1].split(",")[0], **options)
    found = refold.open(folder / "a.zarr")
    np.testing.assert_array_equal(found.values, cube.values)
    assert found.dtype == cube.dtype
    for dim in cube.dims:
        np.testing.assert_array_equal(found[dim].values, cube[dim].values)
        assert found[dim].attrs == cube[dim].attrs
    array = zarr.open_array(folder / "a.zarr" / found.name)
    assert array.chunks == tuple(done.chunks.values())
    assert (array.shards is not None) == options["shards"]
    assert [entry.name for entry in folder.iterdir()] == ["a.zarr"]


def test_a_scan_is_prepared_on_the_way_and_read_once(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=counts((30, 12, 8, 6)), chunks=(4, 4, 8, 6))
    cube = refold.rebin(refold.crop(refold.open(tmp_path / "a.zarr"), {"y": (3, 27)}), ky=2, kx=2)
    with count_reads() as reads:
        done = convert(cube, tmp_path / "b.zarr", memory="100kB", workers=2)
    assert set(reads.under("a.zarr/c").values()) == {1}
    found = refold.open(tmp_path / "b.zarr")
    np.testing.assert_array_equal(found.values, cube.values)
    np.testing.assert_array_equal(found.ky, cube.ky)
    assert done.bytes_read == cube.nbytes
    assert zarr.open_group(tmp_path / "b.zarr").attrs["refold"]["converted_from"] == str(tmp_path / "a.zarr")


TOLD = {
    "when": np.datetime64("2024-02-29T12:00:00.123456789"),
    "day": np.datetime64("2024-02-29"),
    "never": np.datetime64("NaT", "s"),
    "lasted": np.timedelta64(90, "s"),
    "days": np.array([["2024-02-29", "NaT"]], "M8[D]"),
    "lasting": np.array([1, -2], ">m8[ms]"),
    "phase": 1 + 2j,
    "single": np.complex64(-0.0 + 2j),
    "odd": complex("inf"),
    "phases": np.array([1j, np.nan], "c8"),
    "in a list": [1j, (np.datetime64("2024"), "a")],
}


def test_times_and_complex_numbers_of_hyperspy_come_back(tmp_path):
    attrs = note_of({"General": TOLD}, {"Scope": TOLD}, {"y": {"offset": 0.0}})
    convert(refold.as_cube(counts((3, 4, 5)), signal="energy").assign_attrs(attrs), tmp_path / "a.zarr")
    said = unpack(refold.open(tmp_path / "a.zarr").attrs[NOTE])
    assert said["metadata"]["General"].keys() == said["original_metadata"]["Scope"].keys() == TOLD.keys()
    for name, value in TOLD.items():
        found = said["metadata"]["General"][name]
        if isinstance(value, np.ndarray):
            assert (type(found), found.dtype) == (np.ndarray, value.dtype.newbyteorder("="))
            np.testing.assert_array_equal(found, value)
        else:
            assert repr(found) == repr(value.item() if isinstance(value, np.complexfloating) else value)


def test_what_cannot_be_kept_of_hyperspy_is_named_once(recwarn):
    lost = {"a": {"object": object(), "list": [1, {2}, {3}]}, "long": np.zeros(10**5), "many": [{"set": set()}], "b": 1}
    note = note_of(lost, {"Markers": {"kept": 2, "type": int}}, {"y": {"units": object()}})
    (warning,) = recwarn
    assert warning.category is RefoldWarning
    names = "metadata.a.object, metadata.a.list, metadata.long, metadata.many.set, original_metadata.Markers.type;"
    assert names in str(warning.message)
    assert unpack(note[NOTE])["metadata"] == {"a": {}, "many": [{}], "b": 1}
    note_of({f"n{at}": object() for at in range(10)}, {}, {})
    assert "and 2 more" in str(recwarn[-1].message)


def test_options_of_files_do_not_go_with_a_cube(tmp_path):
    cube = refold.as_cube(counts((3, 4, 5)), signal="energy")
    with pytest.raises(ParameterError, match=r"refold\.open"):
        convert(cube, tmp_path / "a.zarr", signal="EDS")


# --- shards -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", ["40kB", "1GB"])
def test_chunks_lie_in_shards_that_are_written_once(tmp_path, monkeypatch, memory):
    source = tall_scan(tmp_path / "tall.zarr", (30, 20, 40), (30, 20, 3))
    done = convert(source, tmp_path / "a.zarr", shards={"y": 12, "x": 8}, chunks={"y": 4, "x": 4}, memory=memory)
    assert done.passes == (2 if memory == "40kB" else 1)
    array = zarr.open_array(tmp_path / "a.zarr" / "tall")
    assert (array.chunks, array.shards) == ((4, 4, 40), (12, 8, 40))
    assert (done.chunks, done.shards) == ({"y": 4, "x": 4, "channel": 40}, {"y": 12, "x": 8, "channel": 40})
    np.testing.assert_array_equal(array[...], counts((30, 20, 40)))
    with count_reads() as reads:
        assert refold.checksum(refold.open(tmp_path / "a.zarr")) == done.checksum
    assert len(reads.under("a.zarr/tall/c")) == 9
    assert set(reads.under("a.zarr/tall/c").values()) == {1}


def test_shards_are_whole_chunks(tmp_path):
    source = tall_scan(tmp_path / "tall.zarr")
    with pytest.raises(ParameterError, match="whole chunks"):
        convert(source, tmp_path / "a.zarr", shards={"y": 10}, chunks={"y": 4})
    done = convert(source, tmp_path / "a.zarr", shards=True, chunks={"y": 5, "x": 5})
    array = zarr.open_array(done.store / "tall")
    assert array.chunks == (5, 5, 40)
    assert array.shards == (20, 15, 40)


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "4", None])
@pytest.mark.parametrize("what", ["chunks", "shards"])
def test_sizes_are_whole_numbers_of_at_least_one(tmp_path, what, size):
    cube = refold.as_cube(counts((8, 6, 5)), signal="energy")
    with pytest.raises(ParameterError, match=f"{what} of .* along 'y'; wanted whole numbers of at least 1"):
        convert(cube, tmp_path / "a.zarr", **{what: {"y": size}})
    assert not list(tmp_path.iterdir())
    done = convert(cube, tmp_path / "a.zarr", resume=True, **{what: {"y": np.int64(4)}})
    assert (done.shards or done.chunks)["y"] == 4


@given(st.tuples(*[st.integers(1, 300)] * 2), st.integers(1, 5000))
def test_chunks_divide_their_shard(tile, channels):
    shard = (*tile, channels)
    inner = chunks_in_shard(shard, Stored(shard, shard, 2, 2), None)
    assert all(side % step == 0 for side, step in zip(shard, inner, strict=True))
    assert inner[:2] == (1, 1) or np.prod(inner) * 2 <= 2**20


# --- resumed ----------------------------------------------------------------------------------------------------------

KILLED = """
    import os, signal, sys
    import refold
    from refold.source.resuming import Journal

    at, (source, target, memory) = int(sys.argv[1]), sys.argv[2:]
    note, seen = Journal.note, []

    def dying(self, step, block, sums):
        if len(seen) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        note(self, step, block, sums)
        seen.append(block)

    Journal.note = dying
    refold.convert(source, target, memory=memory, workers=1, resume=True, shards=bool(int(os.environ["SHARDS"])))
"""


@pytest.mark.parametrize(
    ("memory", "at", "shards"),
    [
        ("60kB", 30, 0),
        pytest.param("60kB", 3, 0, marks=pytest.mark.slow),
        pytest.param("1MB", 1, 0, marks=pytest.mark.slow),
        pytest.param("60kB", 29, 1, marks=pytest.mark.slow),
    ],
)
def test_a_conversion_that_was_killed_goes_on(tmp_path, memory, at, shards):
    source = tall_scan(tmp_path / "tall.zarr", (64, 60, 40), (16, 60, 3))
    target = tmp_path / "scan.zarr"
    whole = convert(source, tmp_path / "whole.zarr", memory=memory, workers=1, shards=bool(shards))
    code = [sys.executable, "-c", textwrap.dedent(KILLED), str(at), str(source), str(target), memory]
    killed = subprocess.run(code, check=False, capture_output=True, env={**os.environ, "SHARDS": str(shards)})
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not target.exists()
    journal = (tmp_path / ".scan.zarr.partial" / "journal").read_text().splitlines()
    assert len(journal) == 1 + at
    with (tmp_path / ".scan.zarr.partial" / "journal").open("a") as file:
        file.write('{"pass": "cut", "blo')  # and so may the last line be cut off
    progress = Progress()
    done = convert(
        source, target, memory=memory, workers=2, resume=True, shards=bool(shards), progress=progress, verify=True
    )
    assert files(target) == files(whole.store)
    assert done.checksum == whole.checksum
    assert not (tmp_path / ".scan.zarr.partial").exists()
    blocks = {json.dumps([json.loads(line)[key] for key in ("pass", "block")]) for line in journal[1:]}
    assert len(blocks) == at


def test_what_is_done_is_not_read_again(tmp_path, monkeypatch):
    source = tall_scan(tmp_path / "tall.zarr", (64, 60, 40), (16, 60, 3))
    options: dict[str, Any] = {"memory": "60kB", "workers": 1, "resume": True, "progress": QUIET}
    note = Journal.note

    def failing(self: Journal, step: str, block: str, sums: dict[str, int]) -> None:
        note(self, step, block, sums)
        if len(self.done("cut")) == 10:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note", failing)
        with count_reads() as before, pytest.raises(KeyboardInterrupt):
            convert(source, tmp_path / "scan.zarr", **options)
    with count_reads() as after:
        convert(source, tmp_path / "scan.zarr", **options)
    first, then = before.under("tall.zarr/c"), after.under("tall.zarr/c")
    assert set(first.values()) | set(then.values()) == {1}
    assert not first.keys() & then.keys()
    assert len(first) >= 10
    assert len(first) + len(then) == 4 * 14


@pytest.mark.parametrize(
    ("change", "words"),
    [({"chunks": {"y": 2}}, "chunks"), ({"shards": True}, "shards"), ({"memory": "5kB"}, "allow --memory")],
)
def test_another_conversion_is_not_gone_on_with(tmp_path, monkeypatch, change, words):
    source = tall_scan(tmp_path / "tall.zarr", (64, 60, 40), (16, 60, 3))
    options: dict[str, Any] = {"memory": "60kB", "workers": 1, "progress": QUIET}
    _interrupt(source, tmp_path / "scan.zarr", monkeypatch, **options)
    before = files(tmp_path / ".scan.zarr.partial")
    with pytest.raises((ParameterError, MemoryBudgetError), match=words):
        convert(source, tmp_path / "scan.zarr", resume=True, **{**options, **change})
    assert files(tmp_path / ".scan.zarr.partial") == before
    os.utime(source / "zarr.json", (1, 1))  # another scan
    with pytest.raises(ParameterError, match="token"):
        convert(source, tmp_path / "scan.zarr", resume=True, **options)
    convert(source, tmp_path / "scan.zarr", **options)  # begins anew
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["scan.zarr", "tall.zarr"]


def _interrupt(source: Any, target: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    note = Journal.note

    def failing(self: Journal, step: str, block: str, sums: dict[str, int]) -> None:
        note(self, step, block, sums)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note", failing)
        with pytest.raises(KeyboardInterrupt):
            convert(source, target, resume=True, **options)
    assert not target.exists()


def test_a_lazy_cube_goes_on_too(tmp_path, monkeypatch):
    def cube() -> Any:
        zarr.open_array(tmp_path / "a.zarr", mode="r")
        return refold.rebin(refold.open(tmp_path / "a.zarr"), channel=2)

    zarr.create_array(tmp_path / "a.zarr", data=counts((64, 60, 40)), chunks=(16, 60, 40))
    _interrupt(cube(), tmp_path / "b.zarr", monkeypatch, memory="1MB", workers=1)
    done = convert(cube(), tmp_path / "b.zarr", memory="1MB", resume=True)
    assert done.checksum == refold.checksum(cube())


def _banded() -> Any:
    cube = refold.as_cube(counts((8, 6, 5)), signal="energy").assign_attrs(title="a", reader="one")
    return cube.assign_coords(good=("energy", [True, True, False, True, True])).rename("scan")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda cube: cube.assign_coords(good=("energy", [True] * 5)), "with coordinate good"),
        (lambda cube: cube.assign_coords(good=("energy", da.ones(5, dtype=bool, chunks=5))), "with coordinate good"),
        (lambda cube: cube.drop_vars("good"), "coordinate good None"),
        (lambda cube: cube.assign_attrs(title="b"), "with attribute title"),
        (lambda cube: cube.rename("other"), "with name scan; wanted name other"),
    ],
)
def test_what_describes_a_cube_is_part_of_it_when_resumed(tmp_path, monkeypatch, change, words):
    options: dict[str, Any] = {"memory": "1MB", "workers": 1, "progress": QUIET}
    _interrupt(_banded(), tmp_path / "b.zarr", monkeypatch, **options)
    with pytest.raises(ParameterError, match=words):
        convert(change(_banded()), tmp_path / "b.zarr", resume=True, **options)
    same = _banded().assign_attrs(reader="another")  # says how it was read, and is not copied
    convert(same, tmp_path / "b.zarr", resume=True, **options)
    assert refold.open(tmp_path / "b.zarr").good.values.tolist() == [True, True, False, True, True]


@pytest.mark.parametrize("gone", ["store", "store/tall/zarr.json", "between"])
def test_what_is_gone_is_said_when_resumed(tmp_path, monkeypatch, gone):
    source = tall_scan(tmp_path / "tall.zarr", (64, 60, 40), (16, 60, 3))
    options: dict[str, Any] = {"memory": "60kB", "workers": 1, "progress": QUIET}
    _interrupt(source, tmp_path / "b.zarr", monkeypatch, **options)
    remove(tmp_path / ".b.zarr.partial" / gone)
    with pytest.raises(StoreError, match=r"begun; .* begin anew without resume"):
        convert(source, tmp_path / "b.zarr", resume=True, **options)


@pytest.mark.parametrize("line", ["{", "[]", "{}", "\xff"])
def test_a_journal_that_cannot_be_read_is_said_so(tmp_path, line):
    (tmp_path / "journal").write_bytes(line.encode("latin-1") + b"\n")
    with pytest.raises(StoreError, match=r"a journal that cannot be read.*begin anew without resume"):
        Journal(tmp_path / "journal", {})


def test_of_a_journal_only_what_was_cut_off_goes(tmp_path, monkeypatch):
    path = tmp_path / "journal"
    journal = Journal(path, {"name": "a"})
    journal.begin({"chunks": [1]})
    journal.note("cut", "0,0", {"0": 7})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"pass": "cut", "blo')
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", None)  # nothing that is whole is written again
        again = Journal(path, {"name": "a"})
    assert path.read_bytes() == whole
    assert again.done("cut") == {"0,0": {"0": 7}}


def test_a_store_that_is_there_is_still_not_replaced(tmp_path):
    source = tall_scan(tmp_path / "tall.zarr")
    convert(source, tmp_path / "scan.zarr", resume=True)
    with pytest.raises(StoreExistsError):
        convert(source, tmp_path / "scan.zarr", resume=True)


# --- how it goes ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_is_bounded_with_shards(tmp_path):
    """800 MB with 100 MB for blocks, in two passes."""
    source = tmp_path / "tall.zarr"
    store = zarr.create_array(source, shape=(512, 512, 1536), chunks=(512, 512, 4), dtype="uint16")
    few = counts((512, 512, 4))
    for start in range(0, 1536, 4):
        store[..., start : start + 4] = few + np.uint16(start)
    code = """
    import sys, refold
    refold.convert(sys.argv[1], sys.argv[2], memory="100MB", workers=2, shards=True, verify=True, resume=True)
    """
    small = tall_scan(tmp_path / "small.zarr")
    base = limit_memory(500_000_000, code, small, tmp_path / "a.zarr").peak
    limit_memory(base + 100_000_000, code, source, tmp_path / "b.zarr")
    scan = refold.open(tmp_path / "b.zarr")
    np.testing.assert_array_equal(scan[..., 1000:1004].values, few + np.uint16(1000))


@pytest.mark.slow
def test_memory_is_bounded_with_a_lazy_cube(tmp_path):
    """800 MB, rebinned on the way, with 100 MB for blocks."""
    store = zarr.create_array(tmp_path / "a.zarr", shape=(200, 200, 100, 100), chunks=(8, 8, 100, 100), dtype="uint16")
    for start in range(0, 200, 8):
        store[start : start + 8] = da.broadcast_to(da.from_array(counts((100, 100))), (8, 200, 100, 100)).compute()
    code = """
    import sys, refold
    cube = refold.rebin(refold.open(sys.argv[1]), ky=2)
    refold.convert(cube, sys.argv[2], memory="100MB", workers=2)
    """
    zarr.create_array(tmp_path / "s.zarr", data=counts((8, 8, 10, 10)))
    base = limit_memory(500_000_000, code, tmp_path / "s.zarr", tmp_path / "t.zarr").peak
    limit_memory(base + 100_000_000, code, tmp_path / "a.zarr", tmp_path / "b.zarr")
