"""The explorer's page on a map of a million pixels, in a real browser.

A run of 1024 x 1024 pixels, each with a label and a place in a latent space of two dims, is served by `refold explore`
and driven in Chromium without a window and without a graphics card. Times are those that a person waits: from the
mouse's being let go, or a button's being pressed, to the first frame in which the colour of a certain pixel on the
screen has changed, as the page itself sees it (`requestAnimationFrame`, `performance.now`). *Page ready* runs from the
request to the first frame that shows the map. *First* is of a page that was just opened, whose code the browser has not
compiled yet. What was aimed at is 0.3 s.

Beside it, in the same browser, the obvious way: each pixel a point of a Bokeh scatter, one data source shared by both
figures, selected in the browser. Its page is a file, and so has no server to wait for. It is given a 64th of the
pixels: with a million points a browser without a graphics card is busy for minutes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.scans import Setup
from benchmarks.tables import Table, short

SIDE, CLUSTERS, CHANNELS = 1024, 7, 64
AIM = 0.3
_WAIT = 60.0  # seconds after which a way has failed

# The colour at a place of a figure, from the canvases that it is drawn on, uppermost first.
_PAGE = """
window.refold_bench = {
  view(name) { return Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name(name)) },
  colours(places) {  // each figure is read once: what is drawn on it waits to be drawn until it is read
    const images = new Map()
    return places.map(([name, x, y]) => {
      const view = this.view(name), frame = view.frame
      const layer = (view.canvas_view ?? view.canvas).primary
      const ratio = layer.canvas.width / layer.el.getBoundingClientRect().width || 1
      if (!images.has(name)) images.set(name, layer.ctx.getImageData(0, 0, layer.canvas.width, layer.canvas.height))
      const image = images.get(name)
      const [column, row] = [frame.x_scale.compute(x), frame.y_scale.compute(y)].map(v => Math.round(v * ratio))
      const first = 4 * (row * image.width + column)
      return image.data.slice(first, first + 4).join()
    })
  },
  watch(event, places) {
    const before = this.colours(places)
    this.took = new Promise(done => {
      let began = null
      const begin = () => { began ??= performance.now() }
      window.addEventListener(event, begin, {capture: true, once: true})
      const look = () => {
        const changed = began !== null && this.colours(places).some((colour, i) => colour !== before[i])
        changed ? done((performance.now() - began) / 1000) : requestAnimationFrame(look)
      }
      requestAnimationFrame(look)
    })
  },
}
"""

_DRAWN = "() => window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"


# --- what is looked at ------------------------------------------------------------------------------------------------


def made(side: int) -> dict[str, np.ndarray]:
    """Labels in patches, and places in a latent space that scatter about one of each cluster."""
    rng = np.random.default_rng(0)
    seeds, of = rng.uniform(0, side, (60, 2)), rng.integers(0, CLUSTERS, 60)
    y, x = np.mgrid[:side, :side]
    nearest, patch = np.full((side, side), np.inf), np.zeros((side, side), np.int64)
    for number, (row, column) in enumerate(seeds):
        apart = (y - row) ** 2 + (x - column) ** 2
        patch[apart < nearest], nearest = number, np.minimum(nearest, apart)
    labels = of[patch].astype(np.int32)
    centres = 6 * np.stack([np.cos(np.arange(CLUSTERS)), np.sin(np.arange(CLUSTERS))], axis=1)
    embedding = (centres[labels] + rng.normal(size=(side, side, 2))).astype(np.float32)
    labels[rng.random((side, side)) < 0.01] = -1
    return {"labels": labels, "embedding": embedding}


def run_of(folder: Path, side: int) -> Path:
    """A finished run of such a map, made without a scan."""
    import xarray as xr

    from refold.recipe import Recipe
    from refold.store import RunStore, StageRecord, versions

    path = folder / f"explored-{side}.run.zarr"
    if path.exists():
        return path
    found, coords = made(side), {dim: (dim, np.arange(side), {"units": "nm", "role": "navigation"}) for dim in "yx"}
    partial = folder / f".{path.name}.partial.run.zarr"
    store = RunStore.create(
        partial,
        {
            "source": {"name": "eds", "dims": ["y", "x", "energy"], "shape": [side, side, CHANNELS]},
            "recipe": Recipe().to_toml(),
            "versions": versions(),
        },
    )
    energy = ("energy", np.linspace(0, 10, CHANNELS), {"units": "keV", "role": "signal"})
    peaks = np.exp(-((energy[1] - np.arange(1, CLUSTERS + 1)[:, None]) ** 2) * 8).astype(np.float32)
    answer = {
        "labels": (("y", "x"), found["labels"]),
        "probability": (("y", "x"), np.ones((side, side), np.float32)),
        "embedding": (("y", "x", "latent"), found["embedding"]),
    }
    means = {
        "cluster_mean": (("cluster", "energy"), peaks),
        "cluster_std": (("cluster", "energy"), peaks),
        "cluster_size": ("cluster", np.bincount(found["labels"][found["labels"] >= 0], minlength=CLUSTERS)),
    }
    store.write("stages/labels", xr.Dataset(answer, coords).chunk({"y": 256, "x": 256}))
    store.finish("labels", StageRecord("made"), (), "stages/labels")
    own = {"cluster": np.arange(CLUSTERS), "energy": energy}
    store.write("stages/statistics", xr.Dataset(means, own))
    store.finish("statistics", StageRecord("made"), (), "stages/statistics")
    partial.replace(path)
    return path


def scatter_page(folder: Path, side: int) -> Path:
    """The obvious way as a page: two scatters of all pixels over one source."""
    from bokeh.embed import file_html
    from bokeh.layouts import row
    from bokeh.models import ColumnDataSource
    from bokeh.palettes import Category10
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    path = folder / f"scatter-{side}.html"
    if path.exists():
        return path
    found = made(side)
    y, x = np.mgrid[:side, :side].reshape(2, -1).astype(np.float32)
    colours = np.array([*Category10[10][:CLUSTERS], "#bbbbbb"])[found["labels"].ravel()]
    u, v = found["embedding"].reshape(-1, 2).T
    data = {"x": x, "y": y, "u": u, "v": v, "colour": colours.tolist()}
    source, figures = ColumnDataSource(data), []
    for name, (across, down) in {"latent": ("u", "v"), "map": ("x", "y")}.items():
        made_figure = figure(
            name=name, width=490, height=600, tools="lasso_select,pan,wheel_zoom", active_drag="lasso_select"
        )
        made_figure.scatter(across, down, source=source, size=1, color="colour", line_color=None)
        figures.append(made_figure)
    path.write_text(file_html(row(*figures), INLINE, "scatter"), encoding="utf-8")
    return path


# --- driving it -------------------------------------------------------------------------------------------------------


class Timed:
    """A page in the browser, and how long what is done to it takes to be seen."""

    def __init__(self, opens: Callable[..., Any], url: str) -> None:
        began = time.perf_counter()
        self.driven = opens(url)
        self.opened = time.perf_counter() - began
        self.driven.page.evaluate(_PAGE)

    def lasso(self, figure: str, corners: list[tuple[float, float]], *watched: tuple[str, float, float]) -> float:
        """Seconds from letting go of the mouse to another colour at one of the places watched."""
        driven = self.driven
        driven.page.keyboard.press("Escape")
        driven.settle()
        self._watch("mouseup", watched)
        driven.lasso(figure, corners)
        return self._took()

    def press(self, button: str, *watched: tuple[str, float, float]) -> float:
        """Seconds from the press of a button to another colour."""
        self._watch("click", watched)
        self.driven.press(button)
        return self._took()

    def wheel(self, figure: str, at: tuple[float, float]) -> float:
        """Seconds from a turn of the wheel to an image of the new window, drawn."""
        driven = self.driven
        driven.page.mouse.move(*driven.places(figure, [at])[0])
        driven.settle()
        driven.page.evaluate(
            """name => {
                const source = Bokeh.documents[0].get_model_by_name(name).data_source
                refold_bench.took = new Promise(done => {
                    let began = null
                    window.addEventListener("wheel", () => { began ??= performance.now() }, {capture: true, once: true})
                    const old = source.data.image
                    const end = () => done((performance.now() - began) / 1000)
                    const look = () => requestAnimationFrame(
                        source.data.image !== old && began !== null ? end : look)
                    look()
                })
            }""",
            f"{figure}-image",
        )
        driven.page.mouse.wheel(0, -120)
        return self._took()

    def _watch(self, event: str, places: tuple[tuple[str, float, float], ...]) -> None:
        self.driven.page.evaluate(
            "([event, places]) => refold_bench.watch(event, places)", [event, [list(p) for p in places]]
        )

    def _took(self) -> float:
        took = float(
            self.driven.page.evaluate(
                """seconds => Promise.race([refold_bench.took, new Promise((done, fail) =>
                    setTimeout(() => fail(new Error("nothing was seen")), 1000 * seconds))])""",
                _WAIT,
            )
        )
        self.driven.settle()
        return took


def outskirts(centres: list[Any]) -> list[tuple[str, float, float]]:
    """Places of the latent space where a few points lie, not so many that faint ones add up to full colour."""
    return [("latent", *place) for centre in centres for radius in (2.5, 3.0) for place in ring(centre, radius)]


def ring(centre: tuple[float, float], radius: float, corners: int = 16) -> list[tuple[float, float]]:
    """Corners of a lasso around a place."""
    turns = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return [(centre[0] + radius * float(np.cos(t)), centre[1] + radius * float(np.sin(t))) for t in turns]


def of_explorer(opens: Callable[..., Any], url: str, side: int, rounds: int) -> dict[str, list[float]]:
    """What a person does, so many times."""
    found = made(side)
    inside = np.argwhere(found["labels"] == 2)  # some of it is lit and some veiled, by any lasso
    spots = [("map", float(x), float(y)) for y, x in inside[:: len(inside) // 40]]
    centres = [tuple(map(float, found["embedding"][found["labels"] == k].mean(axis=0))) for k in range(CLUSTERS)]
    cells = outskirts(centres)
    took: dict[str, list[float]] = {name: [] for name in ("page ready", *DONE)}
    for _ in range(rounds):
        timed = Timed(opens, url)
        took["page ready"].append(timed.opened)
        took["first lasso in the latent space, map lit"].append(timed.lasso("latent", ring(centres[1], 1.5), *spots))
        took["lasso in the latent space, map lit"].append(timed.lasso("latent", ring(centres[0], 1.5), *spots))
        middle = (side / 2, side / 2)
        took["first lasso on the map, latent space lit"].append(timed.lasso("map", ring(middle, side / 15), *cells))
        took["lasso on the map, latent space lit"].append(timed.lasso("map", ring(middle, side / 20), *cells))
        timed.driven.page.keyboard.press("Escape")
        timed.driven.settle()
        timed.driven.tick("cluster 1", "cluster 2")
        took["merge, map in new colours"].append(timed.press("merge", *spots))
        timed.driven.page.keyboard.press("Escape")
        timed.driven.settle()
        took["undo, map in old colours"].append(timed.press("undo", *spots))
        timed.driven.page.keyboard.press("Escape")
        timed.driven.settle()
        took["turn of the wheel, latent space drawn anew"].append(timed.wheel("latent", centres[3]))
        timed.driven.close()
    return took


DONE = (
    "first lasso in the latent space, map lit",
    "lasso in the latent space, map lit",
    "first lasso on the map, latent space lit",
    "lasso on the map, latent space lit",
    "merge, map in new colours",
    "undo, map in old colours",
    "turn of the wheel, latent space drawn anew",
)


def of_scatter(opens: Callable[..., Any], page: Path, side: int, rounds: int) -> dict[str, list[float]]:
    """The same with a scatter, as far as it goes: it ends where nothing is seen in time."""
    from playwright.sync_api import Error

    found = made(side)
    inside = np.argwhere(found["labels"] == 2)
    spots = [("map", float(x), float(y)) for y, x in inside[:: len(inside) // 40]]
    centres = [tuple(map(float, found["embedding"][found["labels"] == k].mean(axis=0))) for k in range(CLUSTERS)]
    took: dict[str, list[float]] = {name: [] for name in ("page ready", *DONE[:4])}
    for _ in range(rounds):
        try:
            timed = Timed(opens, page.as_uri())
            took["page ready"].append(timed.opened)
            took[DONE[0]].append(timed.lasso("latent", ring(centres[1], 1.5), *spots))
            took[DONE[1]].append(timed.lasso("latent", ring(centres[0], 1.5), *spots))
            around = ring((side / 2, side / 2), side / 20)
            for name in DONE[2:4]:
                took[name].append(timed.lasso("map", around, *outskirts(centres)))
            timed.driven.close()
        except (Error, AssertionError) as error:
            print(f"  scatter: {error}", file=sys.stderr)
            break
    return took


def run(setup: Setup) -> Iterator[Table]:
    from tests.explore import driving

    side = 256 if setup.quick else SIDE
    setup.folder.mkdir(parents=True, exist_ok=True)
    title = f"{side} x {side} pixels, {CLUSTERS} clusters"
    if why := driving.why_no_browser():
        yield Table(title, ["done", "seconds"], [[why, ""]])
        return
    driving.SECONDS = _WAIT
    fewer = side // 8
    store, page = run_of(setup.folder, side), scatter_page(setup.folder, fewer)
    with driving.served(store) as url, driving.browser() as opens:
        Timed(opens, url).driven.close()  # compiled and imported once
        ours = of_explorer(opens, url, side, setup.rounds)
        print(json.dumps(ours), file=sys.stderr, flush=True)
        theirs = of_scatter(lambda where: opens(where, _DRAWN), page, fewer, setup.slow_rounds)
    rows = []
    for name, seconds in ours.items():
        beside = theirs.get(name, [])
        late = f"not in {_WAIT:.0f}" if name in theirs else ""
        span = f"{short(min(seconds))} – {short(max(seconds))}"
        other = short(median(beside)) if beside else late
        times = short(median(beside) / median(seconds)) if beside else ""
        rows.append([name, short(median(seconds)), span, other, times])
    scatter = f"scatter of {fewer} x {fewer}, seconds"
    head = ["what is done, and seen", "refold, seconds", "range", scatter, "times as long"]
    note = f"Medians of {setup.rounds} rounds; aimed at: {AIM} s for all but the page itself."
    yield Table(title, head, rows, note)
