"""Serving a run: what is checked before anything is served, and how it ends."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys

import pytest

import refold
from refold.errors import MissingDependencyError, ParameterError, StoreError
from refold.explore import serve, show
from refold.explore.hearing import Hearing, Sources
from refold.explore.listening import in_url, listening
from refold.explore.serving import Pages


def test_a_port_that_is_taken_is_said(small_run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ParameterError, match=f"port {port} of 127.0.0.1, on which something listens"):
            serve(small_run, port=port, open_browser=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"port": 70000}, "0 to 65535"),
        ({"address": "203.0.113.7"}, "an address of this machine"),
        ({"token": "short"}, "at least 16"),
    ],
)
def test_what_cannot_be_served_is_said(small_run, options, said):
    with pytest.raises(ParameterError, match=said):
        serve(small_run, open_browser=False, **options)


def test_a_run_that_is_not_there_is_said_before_anything_is_served(tmp_path, command):
    with pytest.raises(StoreError, match="nothing at"):
        serve(tmp_path / "none.run.zarr", open_browser=False)
    status, out, err = command("explore", tmp_path / "none.run.zarr", "--no-browser")
    assert (status, out) == (2, "")
    assert "nothing at" in err


def test_in_a_notebook_the_other_way_is_named(small_run):
    async def notebook():
        serve(small_run, open_browser=False)

    with pytest.raises(ParameterError, match=r"run\.refold\.explore"):
        asyncio.run(notebook())


@pytest.mark.parametrize("package", ["panel", "bokeh"])
def test_without_the_extra_it_is_named(small_run, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    for way in (serve, show):
        with pytest.raises(MissingDependencyError, match=r"pip install 'refold\[explore\]'"):
            way(small_run)


def test_it_listens_on_this_machine_alone():
    with listening("127.0.0.1", 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
    assert listener.fileno() == -1


def test_addresses_as_browsers_ask_for_them():
    assert [in_url(address) for address in ("127.0.0.1", "::1", "lab")] == ["127.0.0.1", "[::1]", "lab"]
    assert in_url("0.0.0.0") == socket.gethostname()


def test_sessions_share_what_is_read_only_and_nothing_else(small_run):
    pages = Pages(small_run)
    one, two = pages.explorer(), pages.explorer()
    assert one.model.rows is two.model.rows
    with pytest.raises(ValueError, match="read-only"):
        one.model.rows.labels[0] = 3
    one.model.choose([0, 1])
    one.model.merge()
    assert one.model.edits.can_undo
    assert not two.model.edits.can_undo
    assert two.model.choice is None
    pages.close()


class _Page:
    """What the hearing calls of an explorer, in any thread."""

    def __init__(self, model):
        self.model = model
        self.heard = []

    def on_selection(self, callback):
        self.selected = callback

    def show_signal(self, signal, note="", pixels=None):
        self.heard.append(("signal", signal, note))

    def progress(self, done, total):
        pass

    def say(self, text, *, error=False):
        self.heard.append(("said", text, error))

    def close(self):
        self.heard.append(("closed",))


@pytest.mark.parametrize("limit", [1 << 22, 100])
def test_what_is_selected_is_averaged_over_all_pixels_also_of_a_run_that_is_held_thinned(small_run, small_scan, limit):
    from refold.explore.model import Model

    page = _Page(Model(small_run, limit=limit))
    hearing = Hearing(page, Sources())
    page.model.lasso([2.5, 14.5, 14.5, 2.5], [3.5, 3.5, 12.5, 12.5], "map")
    page.selected(page.model.choice)
    hearing.background.close(wait=True)
    ((_, signal, note),) = page.heard
    wanted = (
        refold.rebin(refold.open(small_scan), {"ky": 2, "kx": 2}).values[4:13, 3:15].astype(float).mean(axis=(0, 1))
    )
    assert signal.values == pytest.approx(wanted)
    assert note == "mean of 108 pixels, read from the run"


def test_errors_are_told_on_the_page(small_run, monkeypatch):
    from refold.explore.model import Model

    def broken(*args, **options):
        raise OSError("the disk went away")

    monkeypatch.setattr("refold.explore.signals.MeanSignals.read", broken)
    page = _Page(Model(small_run))
    hearing = Hearing(page, Sources())
    page.model.lasso([2.5, 14.5, 14.5, 2.5], [3.5, 3.5, 12.5, 12.5], "map")
    page.selected(page.model.choice)
    hearing.background.close(wait=True)
    assert page.heard == [("said", "The mean signal could not be read: the disk went away", True)]


def test_a_page_shows_what_was_saved_since_the_server_began(small_run, tmp_path):
    store = shutil.copytree(small_run, tmp_path / "own.run.zarr")
    pages = Pages(store)
    edits = refold.edits(store)
    edits.merge([0, 1])
    edits.save()
    assert pages.explorer().model.edits.revision == 1
    before = pages.explorer().model.rows
    assert pages.explorer().model.rows is before
    pages._rows = ("of other labels", before)  # as if the run had been made anew meanwhile
    assert pages.explorer().model.rows is not before
    pages.close()
