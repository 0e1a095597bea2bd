"""Draws the screenshot of the explorer: `python -m docs.images.explore`. It takes about a minute, and a browser."""

import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

import refold as rf
from tests.explore.driving import browser, served

HERE = Path(__file__).parent
NAMES = ("matrix", "inclusion", "rim", "vein", "pore", "glass")


def main() -> None:
    phantom = rf.synthetic.eds((160, 200), 512, phases=5, seed=4)
    with tempfile.TemporaryDirectory() as folder:
        scan, store = Path(folder) / "alloy.zarr", Path(folder) / "alloy.run.zarr"
        phantom.save(scan)
        rf.run(scan, store=store, report=False, min_cluster_size=120)
        run, edits = rf.open_run(store), rf.edits(store)
        for cluster, name in zip(edits.clusters, NAMES, strict=False):
            edits.rename(cluster.id, name)
        edits.save()
        places = run.embedding.values.reshape(-1, 2)
        labels = run.labels.values.ravel()
        widest = max(np.unique(labels[labels >= 0]), key=lambda cluster: np.nanstd(places[labels == cluster]))
        middle = np.nanmedian(places[labels == widest], axis=0) + np.array([0.7, 0])  # a part of it lies outside
        reach = np.nanpercentile(np.linalg.norm(places[labels == widest] - middle, axis=1), 75)
        turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        with served(store) as url, browser((1280, 800)) as opens:
            page = opens(url)
            page.lasso("latent", [(middle[0] + reach * np.cos(t), middle[1] + reach * np.sin(t)) for t in turns])
            page.page.get_by_text("read from the").wait_for()
            page.settle()
            drawn = Image.open(BytesIO(page.page.screenshot())).convert("RGB").quantize(256)
    drawn.save(HERE / "explore.png", optimize=True)  # a table of colours: a third of the bytes


if __name__ == "__main__":
    main()
