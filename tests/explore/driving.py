"""The explorer's page in a real browser: served by the command line, driven with Playwright."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--no-sandbox",  # of containers, whose kernels often allow none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_READY = """() => {
    if (!window.Bokeh || !Bokeh.documents.length) return false
    const image = Bokeh.documents[0].get_model_by_name("map-image")
    return image && image.data_source.data.image[0].length > 1 && window.refold_keys
}"""
_LULL = 0.2  # seconds
_PATIENCE = 10.0  # seconds for which peace is waited for
_GONE = "WebSocketClosedError"
SECONDS = 60.0  # after which something does not happen any more


def why_no_browser() -> str | None:
    """What is missing to drive a page; None where nothing is."""
    for package in ("panel", "playwright"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed"
    return None if _browser() else f"no browser: none of {', '.join(_BROWSERS)} is on the path"


def _browser() -> str | None:
    return os.environ.get("REFOLD_BROWSER") or next(
        (found for name in _BROWSERS if (found := shutil.which(name))), None
    )


@contextmanager
def served(run: Path, *options: str) -> Iterator[str]:
    """Serve a run as a shell would, and give the page's address."""
    command = [sys.executable, "-c", "from refold.cli import main; main()", "explore", str(run), "--no-browser"]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            address = re.search(r"http://\S+", said)
            if address is None:
                errors.seek(0)
                raise AssertionError(f"no address, but {said!r} and {errors.read()}")
            yield address[0]
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        errors.seek(0)
        told = errors.read()
        assert process.returncode == 0, f"ended with {process.returncode}: {told}"
        # A browser that goes away in the middle of an answer is nobody's fault.
        wrong = [part for part in told.split("Traceback")[1:] if "StreamClosedError" not in part and _GONE not in part]
        assert not wrong, told


@contextmanager
def browser(size: tuple[int, int] = (1280, 800)) -> Iterator[Any]:
    """A browser without a window; gives what opens a page, as another person would have it, with cookies of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=_browser(), args=list(_FLAGS))
        try:
            yield lambda url, ready=_READY: Driven(running, url, size, ready)
        finally:
            running.close()


class Driven:
    """A page that is driven."""

    def __init__(self, running: Any, url: str, size: tuple[int, int], ready: str) -> None:
        self._ready = ready
        width, height = size
        self.context = running.new_context(viewport={"width": width, "height": height})
        self.context.set_default_timeout(SECONDS * 1000)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.sent: list[str] = []
        self._unanswered: dict[Any, set[str]] = {}
        self._latest = time.monotonic()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", self._follow)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.page.goto(url)
        self.wait_until_ready()

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def wait_until_ready(self) -> None:
        """Wait until the figures are drawn in their final size."""
        self.page.wait_for_function(self._ready)
        self.settle()

    def settle(self) -> None:
        """Wait until the server has answered all that was sent, and nothing has come for a moment.

        What a page sent just before it was left may never be answered: whoever wants more than peace asks `eventually`.
        """
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            self.page.wait_for_timeout(_LULL * 1000 / 2)
            if not any(self._unanswered.values()) and time.monotonic() - self._latest > _LULL:
                return

    def eventually(self, check: Callable[[], Any]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and not check():
            self.page.wait_for_timeout(_LULL * 1000 / 2)
        assert check()

    def _follow(self, socket: Any) -> None:
        """Keep account of what was sent over the websocket and not answered."""
        self.asked.append(socket.url)
        waiting = self._unanswered[socket] = set()
        socket.on("framesent", lambda frame: self._send(frame, waiting))
        socket.on("framereceived", lambda frame: self._receive(frame, waiting))
        socket.on("close", lambda socket: self._unanswered.pop(socket, None))  # of a page that is gone

    def _send(self, frame: Any, waiting: set[str]) -> None:
        self._latest = time.monotonic()
        self.sent.append(str(frame))
        if isinstance(frame, str) and (found := re.search(r'"msgid":"([^"]+)","msgtype":"PATCH-DOC"', frame)):
            waiting.add(found[1])

    def _receive(self, frame: Any, waiting: set[str]) -> None:
        self._latest = time.monotonic()
        if isinstance(frame, str) and (found := re.search(r'"reqid": ?"([^"]+)"', frame)):
            waiting.discard(found[1])

    def close(self) -> None:
        """Close it."""
        self.context.close()

    def reload(self) -> None:
        """Load it anew; what was sent from the page before is nobody's any more."""
        self.page.reload()
        for gone in list(self._unanswered)[:-1]:
            del self._unanswered[gone]
        self.wait_until_ready()

    # --- looking ------------------------------------------------------------------------------------------------------

    def ask(self, code: str, *arguments: Any) -> Any:
        """Evaluate a function of models by name: ``ask("(named, x) => named('map').name", 1)``."""
        return self.page.evaluate(
            f"given => ({code})(name => Bokeh.documents[0].get_model_by_name(name), ...given)", list(arguments)
        )

    def image(self, name: str) -> Any:
        """What an image renderer shows: its numbers."""
        found = self.ask(
            """(named, name) => {
                const image = named(name).data_source.data.image[0]
                return {shape: image.shape, values: Array.from(image)}
            }""",
            name,
        )
        return np.array(found["values"]).reshape(found["shape"])

    def colours(self, name: str) -> Any:
        """What an image renderer shows: ``#rrggbb`` of each pixel, as its palette has it."""
        palette = np.array(self.ask("(named, name) => named(name).glyph.color_mapper.palette.map(String)", name))
        return palette[self.image(name).astype(int)]

    def shown(self, name: str) -> bool:
        """Whether a renderer is visible."""
        return bool(self.ask("(named, name) => named(name).visible", name))

    def drawn(self, figure: str, places: Sequence[tuple[float, float]]) -> Any:
        """Colours on the screen at places of a figure: (place, rgb), from a picture of the page."""
        from io import BytesIO

        from PIL import Image

        picture = np.asarray(Image.open(BytesIO(self.page.screenshot())).convert("RGB"))
        return np.array([picture[round(y), round(x)] for x, y in self.places(figure, places)])

    def places(self, figure: str, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """Where on the page places of a figure are."""
        found = self.ask(
            """(named, figure, points) => {
                const view = Bokeh.index.find_one(named(figure))
                const box = view.el.getBoundingClientRect(), frame = view.frame
                return points.map(([x, y]) => [
                    box.left + frame.x_scale.compute(x), box.top + frame.y_scale.compute(y)])
            }""",
            figure,
            [list(map(float, point)) for point in points],
        )
        return [(x, y) for x, y in found]

    def status(self) -> str:
        """What the status line says."""
        return str(self.page.inner_text(".status p"))

    def wait_for(self, code: str, *arguments: Any) -> None:
        """Wait until a function of models by name is true."""
        self.page.wait_for_function(
            f"given => ({code})(name => Bokeh.documents[0].get_model_by_name(name), ...given)", arg=list(arguments)
        )

    # --- doing --------------------------------------------------------------------------------------------------------

    def lasso(self, figure: str, points: Sequence[tuple[float, float]]) -> None:
        """Draw around something with the mouse."""
        mouse, (first, *rest) = self.page.mouse, self.places(figure, points)
        mouse.move(*first)
        mouse.down()
        for place in [*rest, first]:
            mouse.move(*place, steps=2)
        mouse.up()

    def press(self, name: str) -> None:
        """Press a button."""
        self.page.mouse.move(2, 2)  # off the button pressed before, whose hint may lie over this one
        self.page.click(f".{name} button")

    def tick(self, *clusters: str) -> None:
        """Tick clusters of the list, by their names, and no others."""
        lines = self.page.locator(".clusters label")
        for place in range(lines.count()):
            line = lines.nth(place)
            line.locator("input").set_checked(line.inner_text().strip() in clusters)
        self.settle()
