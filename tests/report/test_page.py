from __future__ import annotations

import base64
import errno
import json
import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from refold.errors import DiskFullError, StoreError, VariableError
from refold.report import render_report, write_report
from refold.report.colours import palette
from refold.report.words import count, percent
from tests.report.made import PLAN, RECIPE, make_correlative, make_estimate, make_run, make_trusted

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Reader(HTMLParser):
    """Checks that tags close in order, and gathers identifiers, addresses and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        self._attributes(attrs)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self._attributes(attrs)

    def _attributes(self, attrs):
        for key, value in attrs:
            if key == "id":
                self.ids.append(value)
            if key in {"href", "src", "xlink:href", "action", "data"} or key.startswith("on"):
                self.addresses.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("chunks", [None, {}])
def test_a_run_on_disk_gives_the_same_page(page, tmp_path, chunks):
    run = make_run((24, 32), 3, invalid=5)
    run.to_zarr(tmp_path / "run.zarr", consolidated=False)
    stored = xr.open_zarr(tmp_path / "run.zarr", chunks=chunks, consolidated=False)
    assert render_report(stored) == page
    assert not any(stored[name].variable._in_memory for name in ("labels", "scores", "residual"))


def test_every_promised_section_is_there(page):
    ids = Reader(page).ids
    wanted = "summary labels probability residual signals latent scree sizes noise forecast stages recipe provenance"
    assert {*wanted.split(), "memberships"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_what_a_run_does_not_have_leaves_no_empty_section(page):
    reader = Reader(page)
    assert not {"criteria", "stability", "agreement"} & set(reader.ids)
    bare = Reader(render_report(make_run((12, 16), 2)[["labels"]]))
    assert not {"criteria", "trust", "signals", "memberships", "spaces"} & set(bare.ids)
    assert not re.search(r"<h2>[^<]*</h2>\s*</section>", page)


def test_a_correlative_run_shows_a_gallery_for_each_cube():
    run = make_correlative((12, 16), 3, side=8)
    text = render_report(run)
    reader = Reader(text)
    assert re.findall(r"<h3>(.*?)</h3>", text) == ["diffraction", "eds", "haadf", "profile"]
    assert text.count('aria-label="Mean signal of cluster') == 4 * 3
    assert len(reader.ids) == len(set(reader.ids))
    assert "Mean signal of cluster 2 in eds" in text


def test_stability_and_criteria_are_shown_where_the_run_has_them():
    run = make_trusted((12, 16), 3, side=8)
    run = run.merge(make_estimate()).assign_attrs(run.attrs)
    reader = Reader(render_report(run))
    assert {"criteria", "stability", "agreement", "memberships"} <= set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids))
    assert "k = 4" in reader.text
    assert reader.text.count("Share of the") <= 1


def test_maps_of_memberships_stay_few():
    run = make_run((4, 300), 70, side=4, latent=0)
    text = render_report(run[["labels", "membership", "cluster_size"]])
    assert text.count('is likely"') == 64
    assert "the 64 largest clusters" in text


def test_the_page_loads_nothing(page):
    reader = Reader(page)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", re.sub(r"base64,[^\"]+", "", page))
    assert not reader.tags & {"script", "link", "iframe", "object", "embed", "img"}
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in reader.addresses)
    inside = {a[1:] for a in reader.addresses if a.startswith("#")}
    inside |= set(re.findall(r"url\(#([^)]+)\)", page))
    assert inside <= set(reader.ids)


def test_images_decode(page):
    images = re.findall(r"data:image/png;base64,([^\"]+)", page)
    assert len(images) >= 3 + 3  # labels, probability, residual, and each cluster's pattern
    for image in images:
        Image.open(BytesIO(base64.b64decode(image))).verify()


def test_neutral_colours_follow_the_theme(page):
    assert "#01020" not in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    assert "@media print" in page


def test_numbers_agree_with_the_run(page):
    run = make_run((24, 32), 3, invalid=5)
    text = Reader(page).text
    labels = run.labels.values.ravel()[5:]
    for cluster in range(3):
        assert count((labels == cluster).sum()) in text
        assert percent((labels == cluster).mean()) in text
    assert f"768 pixels (24 × 32) fall into 3 clusters; {percent((labels < 0).mean())} are noise." in text
    assert "5 pixels could not be used." in text
    assert "23.8 s" in text  # the stages that were not reused
    assert RECIPE.strip() in text
    assert "grains.zspy" in text
    assert "umap-learn" in text


def test_each_cluster_is_framed_in_its_colour(page):
    for number, colour in enumerate(palette(3)):
        (card,) = re.findall(rf'id="signal{number}-figure_1".*?</svg>', page, flags=re.DOTALL)
        assert f"stroke: {colour}" in card


def test_forecast_stands_beside_measured():
    text = Reader(render_report(make_run(), measured={"seconds": 30.5, "sweeps": 3, "bytes_written": 30_500_000})).text
    rows = re.sub(r"\s+", " ", text)
    assert "1 min 1 s" in rows
    assert "30.5 s" in rows
    assert "61.0 MB" in rows
    assert "30.5 MB" in rows
    assert "0.50" in rows


def test_forecast_of_each_stage_stands_beside_it(page):
    (stages,) = re.findall(r'<section id="stages">.*?</section>', page, flags=re.DOTALL)
    (row,) = re.findall(r"<tr><td>reduce</td>.*?</tr>", stages)
    assert re.findall(r">([^<>]+)</td>", row)[:5] == ["reduce", "11.9 s", "12.5 s", "713 MB", "801 MB"]


def test_the_source_is_written_for_people():
    run = make_run()
    run.attrs["source"] = json.dumps({"path": "a.npy", "bytes": 1500, "modified": 1_700_000_000_000_000_000})
    text = Reader(render_report(run)).text
    assert "1.50 kB" in text
    assert "2023-11-14 22:13:20 UTC" in text


def test_what_the_run_kept_as_measured_goes_before_the_sums():
    run = make_run()
    run.attrs["measured"] = json.dumps({"seconds": 99.0, "peak_memory": None})
    assert "took 1 min 39 s and needed at most 713 MB" in Reader(render_report(run)).text
    assert "took 3.0 s" in Reader(render_report(run, measured={"seconds": 3.0})).text


def test_same_run_same_page(page, tmp_path):
    run = make_run((24, 32), 3, invalid=5)
    path = write_report(run.chunk({"y": 7}), tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == page
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    "options",
    [
        {"shape": (40,), "signal": "spectrum"},
        {"shape": (3, 8, 9)},
        {"shape": (1, 30), "descending": True, "unit": None},
        {"n_clusters": 0, "latent": 0},
        {"shape": (8, 8), "invalid": 64},
        {"n_clusters": 1, "latent": 3},
    ],
)
def test_pages_of_unusual_runs(options):
    run = make_run(**options)
    reader = Reader(render_report(run))
    assert {"summary", "labels", "sizes", "noise", "provenance"} <= set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids))


def test_a_run_of_labels_alone():
    run = make_run()[["labels"]]
    run.attrs = {}
    reader = Reader(render_report(run))
    assert {"labels", "sizes"} <= set(reader.ids)
    assert not {"probability", "residual", "signals", "latent", "scree", "forecast", "recipe"} & set(reader.ids)


@pytest.mark.slow
def test_forty_clusters():
    reader = Reader(render_report(make_run((40, 40), 40, side=8)))
    assert sum(i.endswith("-figure_1") for i in reader.ids) == 2 * 40 + 5


def test_names_are_texts_and_not_markup():
    nasty = '<script>alert("1")</script> $x^2$ {{ 7*7 }}'
    run = make_run(signal="spectrum").rename(energy=nasty).rename({"x": f"{nasty} x"})
    run[nasty].attrs["units"] = nasty
    run.attrs = {"recipe": nasty, "source": json.dumps({"path": nasty, nasty: nasty}), "plan": "{}", "stages": nasty}
    text = render_report(run)
    assert "<script" not in text
    assert "49" not in Reader(text).text.replace(nasty, "").split()
    Reader(text)


def test_secrets_in_addresses_are_left_out():
    run = make_run()
    run.attrs["source"] = json.dumps({"url": "s3://key:hunter2@bucket/scan.zarr?X-Signature=abc", "n": 3})
    run.attrs["recipe"] = 'path = "s3://key:hunter2@bucket/scan.zarr?X-Signature=abc"'
    text = render_report(run)
    assert "s3://bucket/scan.zarr" in text
    assert "hunter2" not in text
    assert "Signature" not in text


def test_attrs_may_be_mappings_and_incomplete():
    run = make_run()
    run.attrs = {"plan": PLAN | {"seconds": None, "tasks": "many"}, "stages": {"reduce": {"seconds": 2}}, "source": "{"}
    text = Reader(render_report(run)).text
    assert "2.0 s" in text
    assert "900 MB" in text


def test_a_report_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    run = make_run((6, 6), 1)
    with pytest.raises(StoreError, match="a place where the report"):
        write_report(run, tmp_path / "missing" / "report.html")
    with pytest.raises(StoreError):
        write_report(run, tmp_path)
    old = tmp_path / "report.html"
    old.write_text("old")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DiskFullError):
        write_report(run, old)
    assert old.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_run_without_labels_is_no_run():
    with pytest.raises(VariableError, match="labels"):
        render_report(make_run().drop_vars("labels"))


def test_a_map_of_millions_gives_a_page_of_few_megabytes():
    rng = np.random.default_rng(0)
    run = make_trusted((8, 8), 3)[["labels", "probability", "membership", "stability"]]
    big = run.isel(y=[0] * 1500, x=[0] * 2000).drop_vars(["y", "x"])
    big["stability"].values[:] = rng.integers(0, 11, (1500, 2000)) / 10
    big["membership"].values[:] = rng.random((1500, 2000, 1), np.float32)
    big["labels"].values[:] = rng.integers(-1, 3, (1500, 2000))
    assert len(render_report(big)) < 6e6
