"""The real page in a real browser: what is drawn around lights up, and what is seen is what is saved.

One server and one browser serve all tests of a process; each test opens a page, which has a state of its own.
"""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refold
from refold.editing.operations import default_colour
from refold.store import open_run
from tests.explore.driving import Driven, browser, served, why_no_browser
from tests.runs import phantom, run

pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(why_no_browser() is not None, reason=f"drives the page: {why_no_browser()}"),
]
SHAPE = (48, 60)
PATHS = ("../../outside", "/tmp/outside", "..", "a/b", "C:\\x", "x" * 200, "\u202e", ".hidden", "a--b")

NONSENSE = ('{type: "poly", x: [NaN, 1e308, -1e308], y: [0, Infinity]}', '{type: "rect"}', "null", "7")


class Served:
    """A run that is served, and who opens pages of it."""

    def __init__(self, store: Path, url: str, opens: Any) -> None:
        self.store, self.url, self._opens = store, url, opens
        self._pages: list[Driven] = []
        self._kept: Driven | None = None

    def open(self) -> Driven:
        """A page that a test may do with as it likes."""
        self._pages.append(self._opens(self.url))
        return self._pages[-1]

    @property
    def page(self) -> Driven:
        """A page that all tests share which leave it as it was but for what is selected."""
        if self._kept is None:
            self._kept = self._opens(self.url)
        self._kept.page.keyboard.press("Escape")
        self._kept.wait_for("named => !named('map-lit').visible && !named('latent-lit').visible")
        self._kept.settle()
        return self._kept

    def labels(self, name: str = "edits") -> np.ndarray:
        """What anybody else would read from the disk."""
        return np.asarray(refold.edits(self.store, name=name).labels().values)

    def files(self) -> list[Path]:
        """All that lies beside the run's stages."""
        return sorted(path for path in self.store.parent.rglob("*") if "stages" not in path.parts)

    def clean(self) -> None:
        """Close what a test opened, and remove what it saved."""
        while self._pages:
            self._pages.pop().close()
        shutil.rmtree(self.store / "edits", ignore_errors=True)


@pytest.fixture(scope="module")
def only_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("explored")
    scan = phantom(shape=SHAPE, detector=(16, 16), phases=4, chunks=(16, 16)).save(folder / "scan.zarr")
    store = run(scan, folder / "scan.run.zarr", rebin={"ky": 2, "kx": 2}, min_cluster_size=40).store
    assert open_run(store).sizes["cluster"] >= 3
    with served(store) as url, browser() as opens:
        yield Served(store, url, opens)


@pytest.fixture
def site(only_served: Served) -> Iterator[Served]:
    """The server, without anything that another test saved."""
    yield only_served
    only_served.clean()


def around(points: np.ndarray, margin: float = 0.0) -> list[tuple[float, float]]:
    """Corners of a box around points (x, y)."""
    (left, bottom), (right, top) = points.min(axis=0) - margin, points.max(axis=0) + margin
    return [(left, bottom), (right, bottom), (right, top), (left, top)]


def seen_as_labels(page: Driven) -> np.ndarray:
    """The map that is seen, each pixel as the cluster whose colour it has."""
    cluster_of = {default_colour(number): number for number in reversed(range(8))}
    return np.vectorize(lambda colour: cluster_of.get(colour[:7], -1))(page.colours("map-image"))


def comes_to_show(page: Driven, labels: np.ndarray) -> None:
    """Wait until a page shows these labels."""
    page.eventually(lambda: np.array_equal(seen_as_labels(page), labels))


# --- selecting --------------------------------------------------------------------------------------------------------


def test_a_lasso_on_the_latent_space_lights_up_the_map(site):
    page, opened = site.page, open_run(site.store)
    positions = opened.scores.values[..., :2].reshape(-1, 2)
    part = positions[opened.labels.values.ravel() == 1]
    corners = around(np.quantile(part, [0.1, 0.9], axis=0))
    places = [(x, y) for y in range(2, 48, 5) for x in range(2, 60, 5)]
    before = page.drawn("map", places)
    page.lasso("latent", corners)
    page.wait_for("named => named('map-lit').visible")
    page.settle()
    lit = page.image("map-lit")
    (left, bottom), _, (right, top), _ = corners
    inside = (positions >= (left, bottom)).all(axis=1) & (positions <= (right, top)).all(axis=1)
    wrong = (lit.ravel().astype(bool) != inside).mean()
    assert inside.sum() > 20
    assert wrong < 0.01  # the mouse moves by whole pixels of the screen
    # On the screen the veil lies over what is not selected, and over nothing else.
    after, chosen = page.drawn("map", places), np.array([bool(lit[y, x]) for x, y in places])
    changed = np.abs(after.astype(int) - before.astype(int)).sum(axis=1) > 12
    assert (changed == ~chosen).mean() > 0.97
    assert f"{int(lit.sum())} pixels" in page.status().replace("\u202f", "").replace(",", "")


def test_a_lasso_on_the_map_lights_up_the_latent_space_and_reads_the_mean(site):
    page = site.page
    page.lasso("map", [(3.5, 3.5), (20.5, 3.5), (20.5, 15.5), (3.5, 15.5)])
    page.wait_for("named => named('map-lit').visible && named('latent-lit').visible")
    page.eventually(lambda: set(np.unique(page.image("latent-lit"))) == {0, 1, 2})
    lit = page.image("map-lit").astype(bool)
    assert lit[5:15, 5:20].all()
    assert not lit[:, 22:].any()
    said = f"mean of {int(lit.sum())} pixels, read from the run"
    page.eventually(lambda: said in page.page.inner_text(".signal h2"))


# --- editing ----------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_what_was_seen(site):
    """Merge, undo, redo, split, rename, save; load the page anew; and the labels of it all."""
    page, base = site.open(), open_run(site.store).labels.values
    comes_to_show(page, base)
    page.tick("cluster 0", "cluster 1")
    page.press("merge")
    merged = np.where(base == 1, 0, base)
    comes_to_show(page, merged)
    page.press("undo")
    comes_to_show(page, base)
    page.press("redo")
    comes_to_show(page, merged)

    page.page.keyboard.press("Escape")  # cluster 0 is ticked: of it alone a part would be split off
    page.settle()
    page.lasso("map", [(10.5, 10.5), (30.5, 10.5), (30.5, 30.5), (10.5, 30.5)])
    page.wait_for("named => named('map-lit').visible && Math.max(...named('map-lit').data_source.data.image[0]) == 1")
    page.settle()
    chosen = page.image("map-lit").astype(bool)
    assert 350 < chosen.sum() < 450
    page.press("split")
    new = int(base.max()) + 1
    split = np.where(chosen & (merged >= 0), new, merged)
    comes_to_show(page, split)

    page.tick(f"cluster {new}")
    page.page.fill(".name input", "inclusion")
    page.press("rename")
    page.wait_for("named => named('clusters').labels.includes('inclusion')")
    page.press("save")
    page.eventually(lambda: "Saved" in page.status())
    np.testing.assert_array_equal(site.labels(), split)
    assert {cluster.id: cluster.name for cluster in refold.edits(site.store).clusters}[new] == "inclusion"

    page.reload()
    comes_to_show(page, split)
    page.press("undo")  # the name; to any depth, also after opening again
    page.settle()
    page.press("undo")
    comes_to_show(page, merged)
    assert page.complaints == []


@pytest.mark.slow
def test_who_saves_second_is_told_and_overwrites_nothing(site):
    """Nor does a page that was tampered with, and says paths where it is asked for another name."""
    base, one, two = open_run(site.store).labels.values, site.open(), site.open()
    theirs, ours = np.where(base == 1, 0, base), np.where(base == 2, 1, base)
    one.tick("cluster 0", "cluster 1")
    one.press("merge")
    comes_to_show(one, theirs)
    two.tick("cluster 1", "cluster 2")
    two.press("merge")
    comes_to_show(two, ours)
    one.press("save")
    one.eventually(lambda: "Saved" in one.status())
    two.press("save")
    two.page.wait_for_selector(".conflict", state="visible")
    assert "Not saved" in two.page.inner_text(".conflict p")
    np.testing.assert_array_equal(site.labels(), theirs)
    before = site.files()
    for name in PATHS:
        two.page.fill(".save-name input", name)
        two.press("save-as")
        two.settle()
        assert site.files() == before, name
    assert two.page.get_by_text("Traceback").count() == 0
    two.page.fill(".save-name input", "mine")
    two.press("save-as")
    two.eventually(lambda: "mine" in two.status())
    np.testing.assert_array_equal(site.labels(), theirs)
    np.testing.assert_array_equal(site.labels("mine"), ours)


# --- viewing ----------------------------------------------------------------------------------------------------------


def test_clusters_alone(site):
    page, base = site.page, open_run(site.store).labels.values
    page.tick("cluster 1")
    page.page.check(".alone input")
    clear = np.vectorize(lambda colour: len(colour) == 9 and colour.endswith("00"))
    page.eventually(lambda: np.array_equal(clear(page.colours("map-image")), base != 1))
    page.page.uncheck(".alone input")
    page.settle()


def test_a_window_of_the_latent_space_is_drawn_anew(site):
    page = site.page
    before = page.ask("named => Array.from(named('latent-image').data_source.data.dw)")
    ((x, y),) = page.places(
        "latent", [page.ask("named => [named('latent').x_range.start, named('latent').y_range.end]")]
    )
    page.page.mouse.move(x + 80, y + 80)
    page.page.mouse.wheel(0, -300)
    page.wait_for("(named, before) => named('latent-image').data_source.data.dw[0] < 0.9 * before", before[0])
    width, wanted = page.ask(
        """named => [named('latent-image').data_source.data.dw[0],
                     named('latent').x_range.end - named('latent').x_range.start]"""
    )
    assert width == pytest.approx(wanted)


def test_nothing_is_asked_of_anybody_else(site):
    page = site.page
    own = site.url.split("/?")[0].removeprefix("http:")
    assert page.asked
    assert [url for url in page.asked if own not in url and not url.startswith(("data:", "blob:"))] == []
    assert page.complaints == []
    assert "token" not in page.page.url


def test_strangers_see_nothing(site):
    """Without the token, from a page of another site, and over the websocket."""
    bare = site.url.split("?")[0]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(bare)
    page = site.page.context.new_page()  # of the same person, whose browser keeps the token
    page.route("http://evil.example/", lambda route: route.fulfill(body="<h1>hello</h1>", content_type="text/html"))
    page.goto("http://evil.example/")
    heard = page.evaluate(
        """async own => {
            const closed = await new Promise(done => {
                const socket = new WebSocket(own.replace("http", "ws") + "ws", ["bokeh", "x"])
                socket.onopen = () => done("open"), socket.onerror = () => done("refused")
            })
            const got = await fetch(own, {credentials: "include", mode: "no-cors"}).then(r => r.type, () => "refused")
            return [closed, got]
        }""",
        bare,
    )
    page.close()
    assert heard[0] == "refused"
    assert heard[1] in ("refused", "opaque")  # a browser shows no other site what was answered, which is 403


@pytest.mark.slow
def test_messages_that_are_nonsense_are_survived(site):
    """What no mouse draws and no list holds."""
    page = site.open()
    for number, geometry in enumerate(NONSENSE):
        page.ask(
            """(named, geometry) => {
                const events = named("map").document.event_manager
                events.send_event = event => {
                    if (event.event_name == "selectiongeometry") event.geometry = eval(`(${geometry})`)
                    Object.getPrototypeOf(events).send_event.call(events, event)
                }
            }""",
            geometry,
        )
        page.lasso("map", [(3.5, 3.5), (20.5, 3.5), (20.5, 15.5), (3.5, 15.5)])
        page.eventually(lambda: "no outline" in page.status())
        page.tick(f"cluster {number % 2}")
        page.eventually(lambda: "1 ticked cluster" in page.status())
    assert sum('"selectiongeometry"' in sent for sent in page.sent) == len(NONSENSE)
    page.ask("named => { named('clusters').active = [0, 99999, -5] }")
    page.eventually(lambda: "ticked" in page.status())
    page.tick("cluster 1")
    page.eventually(lambda: "1 ticked cluster" in page.status())
