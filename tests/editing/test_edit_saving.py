"""Edits on disk: whole or not at all, and never over what somebody else saved."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from refold.editing.document import Document, Origin
from refold.editing.history import History
from refold.editing.operations import Merge, Rename
from refold.editing.saving import place_of, read_edits, saved_edits, write_edits
from refold.errors import DiskFullError, EditConflictError, EditsError, ParameterError
from tests.editing.made_edits import FRAME

ORIGIN = Origin(None, "0" * 32)
ONE = Document(ORIGIN, History(FRAME, (Merge((0, 1)),), 1), 1, "anna", "2026-01-02T03:04:05+00:00")
TWO = Document(ORIGIN, History(FRAME, (Rename(2, "glass"),), 1), 1, "bert", "2020-01-02T03:04:05+00:00")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return place_of(tmp_path, None, "edits")


def test_what_is_saved_is_read(place: Path) -> None:
    assert read_edits(place, ORIGIN, FRAME) is None
    write_edits(place, ONE, None)
    assert read_edits(place, ORIGIN, FRAME) == ONE
    later = replace(TWO, revision=2)
    write_edits(place, later, ONE)
    assert read_edits(place, ORIGIN, FRAME) == later
    assert sorted(item.name for item in place.parent.iterdir()) == [".edits.lock", "edits.json", "zarr.json"]


def test_who_comes_second_is_told_and_changes_nothing(place: Path) -> None:
    write_edits(place, ONE, None)
    before = place.read_bytes()
    with pytest.raises(EditConflictError, match=r"revision 1 at .*, saved by anna at 2026-01-02.*wanted none") as told:
        write_edits(place, TWO, None)
    assert "name='mine'" in str(told.value)
    assert place.read_bytes() == before


def test_edits_that_were_removed_or_put_in_place_of_others_are_a_conflict(place: Path) -> None:
    write_edits(place, ONE, None)
    place.write_bytes(TWO.to_bytes())  # the same revision, of somebody else
    with pytest.raises(EditConflictError, match="saved by bert"):
        write_edits(place, replace(ONE, revision=2), ONE)
    place.unlink()
    with pytest.raises(EditConflictError, match="somebody removed them"):
        write_edits(place, replace(ONE, revision=2), ONE)
    assert not place.exists()


def test_nothing_is_written_over_what_cannot_be_read(place: Path) -> None:
    write_edits(place, ONE, None)
    place.write_bytes(before := place.read_bytes()[:-9])
    with pytest.raises(EditsError, match="no whole JSON"):
        write_edits(place, replace(ONE, revision=2), ONE)
    assert place.read_bytes() == before


@pytest.mark.parametrize(
    ("number", "error", "said"),
    [
        (errno.ENOSPC, DiskFullError, "a full disk"),
        (errno.EROFS, EditsError, "Read-only"),
        (errno.EACCES, EditsError, "Permission denied"),
    ],
)
def test_what_the_system_refuses_is_said_and_what_was_there_stays(
    place: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception], said: str
) -> None:
    write_edits(place, ONE, None)

    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(error, match=said):
        write_edits(place, replace(TWO, revision=2), ONE)
    assert read_edits(place, ORIGIN, FRAME) == ONE
    assert sorted(item.name for item in place.parent.iterdir()) == [".edits.lock", "edits.json", "zarr.json"]


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "edits").write_text("mine")
    with pytest.raises(EditsError, match="Not a directory"):
        read_edits(place_of(tmp_path, None, "edits"), ORIGIN, FRAME)
    with pytest.raises(EditsError, match="File exists"):
        write_edits(place_of(tmp_path, None, "edits"), ONE, None)
    assert (tmp_path / "edits").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["", "../up", ".hidden", "Zarr", "a/b", "a--b", "a" * 65, "ä", None, "a-", "-a", "a\n"]
)
def test_names_cannot_lead_elsewhere(tmp_path: Path, name: Any) -> None:
    with pytest.raises(ParameterError, match="set of edits"):
        place_of(tmp_path, None, name)
    with pytest.raises(ParameterError):
        place_of(tmp_path, "a/b", "edits")


def test_saved_sets_are_named(tmp_path: Path) -> None:
    assert saved_edits(tmp_path) == []
    for clustering, name in ((None, "edits"), (None, "anna"), ("gmm5", "edits")):
        write_edits(place_of(tmp_path, clustering, name), ONE, None)
    assert saved_edits(tmp_path) == saved_edits(tmp_path, "run") == ["anna", "edits"]
    assert saved_edits(tmp_path, "gmm5") == ["edits"]
    opened = xr.Dataset(attrs={"clustering": "gmm5"})
    opened.encoding["source"] = str(tmp_path)
    assert saved_edits(opened) == ["edits"]
    assert saved_edits(tmp_path, "gmm") == []


# --- several processes ------------------------------------------------------------------------------------------------

_HOLD = """
import fcntl, os, sys, time
handle = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="locks are taken otherwise there")
def test_a_lock_ends_with_its_holder_and_what_it_left_is_written_over(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.parent.mkdir()
    lock = place.with_name(".edits.lock")
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(lock)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        monkeypatch.setattr("refold.editing.saving._WAIT", 0.05)
        with pytest.raises(EditConflictError, match="somebody saving"):
            write_edits(place, ONE, None)
        assert not place.exists()
        holder.kill()
    place.with_name(".edits.json.partial").write_bytes(b"half of it")
    write_edits(place, ONE, None)
    assert read_edits(place, ORIGIN, FRAME) == ONE


def _save_all(places: list[Path], opened: list[Document | None], author: str, start: int, told: int) -> None:
    """Save everywhere as soon as the others do, and tell where that went well."""
    os.read(start, 1)
    for n, (place, before) in enumerate(zip(places, opened, strict=True)):
        with suppress(EditConflictError):
            write_edits(place, replace(ONE, author=author, revision=2), before)
            os.write(told, bytes([n]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes begin otherwise there")
def test_of_processes_that_save_at_once_exactly_one_wins(tmp_path: Path) -> None:
    places = [place_of(tmp_path, None, f"round{n}") for n in range(20)]
    for place in places:
        write_edits(place, ONE, None)
    opened = [read_edits(place, ORIGIN, FRAME) for place in places]
    start, go = os.pipe()
    savers: dict[str, tuple[int, int]] = {}
    for author in ("anna", "bert", "cleo"):
        found, told = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, whose locks these need not
            child = os.fork()
        if not child:
            try:
                _save_all(places, opened, author, start, told)
            finally:
                os._exit(0)
        os.close(told)
        savers[author] = child, found
    os.write(go, b"...")
    won = {author: os.read(found, 99) if os.waitpid(child, 0) else b"" for author, (child, found) in savers.items()}
    for handle in (start, go, *(found for _, found in savers.values())):
        os.close(handle)
    assert sorted(b"".join(won.values())) == list(range(20))
    for author, rounds in won.items():
        assert {json.loads(places[n].read_text())["author"] for n in rounds} <= {author}
