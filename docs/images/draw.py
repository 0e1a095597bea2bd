"""Draws the pictures of docs/figures.md: `python docs/images/draw.py`. It takes about a minute and reads no file."""

import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image

import refold as rf

HERE = Path(__file__).parent

phantom = rf.synthetic.four_d_stem((64, 80), (48, 48), rare=(40,), dose=300, mixing=2.5, seed=1)
with tempfile.TemporaryDirectory() as folder:
    scan, store = Path(folder) / "phantom.zarr", Path(folder) / "phantom.run.zarr"
    phantom.save(scan)
    rf.run(scan, store=store, report=False, embed={"n_components": 3})
    rf.stability(store, repeats=5, dose=0.3)
    plane = rf.run(scan, store=Path(folder) / "plane.run.zarr", report=False)
    run = rf.open_run(store)
    drawn = {
        "map": rf.figures.label_map(run, width=4.2),
        "clusters": rf.figures.cluster_gallery(run, width=7.5),
        "latent": rf.figures.latent_scatter(run, width=5.2),
        "mixture": rf.figures.latent_scatter(rf.recluster(plane, "mixture", n_clusters=7, scan=scan), width=4.2),
        "stability": rf.figures.stability_map(run),
        "metrics": rf.figures.metric_curves(rf.estimate_clusters(run.scores, range(2, 13)).curves, width=8.0),
    }
    silica, iron, alumina = {"Si": 0.33, "O": 0.67}, {"Fe": 1.0}, {"Al": 0.4, "O": 0.6}
    mixtures = [{"Fe": 0.6, "Si": 0.13, "O": 0.27}, {"Al": 0.28, "Si": 0.1, "O": 0.62}]
    xrays = rf.synthetic.eds(
        (64, 80), phases=5, amorphous=0, grid=0, seed=2, compositions=[silica, iron, alumina, *mixtures]
    )
    phases = rf.cluster_statistics(xrays.cube, xrays.labels).sel(energy=slice(0.2, 9))
    drawn["unmixing"] = rf.figures.unmixing(rf.unmix(phases, 3, start=[0, 1, 2]))
    for name, figure in drawn.items():
        drawn_png = BytesIO()
        figure.savefig(drawn_png, format="png", dpi=80)
        small = Image.open(drawn_png).convert("RGB").quantize(256)  # a table of colours: a third of the bytes
        small.save(HERE / f"figures-{name}.png", optimize=True)
