"""Runs made by hand: what `open_run` gives, without running anything."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

RECIPE = """[scan]
path = "grains.zspy"
rebin = { ky = 2, kx = 2 }

[reduce]
method = "pca"
n_components = 20
scaling = "poisson"

[embed]
method = "umap"
n_neighbors = 15
min_dist = 0.0
random_state = 0

[cluster]
method = "hdbscan"
min_cluster_size = 100
"""

PLAN = {
    "sweeps": 3,
    "tasks": 24,
    "bytes_read": 4_000_000_000,
    "bytes_written": 61_000_000,
    "peak_memory": 900_000_000,
    "seconds": 61.0,
    "stages": {"reduce": {"seconds": 12.5, "peak_memory": 801_000_000}, "embed": {"seconds": 40.0}},
}
STAGES = {
    "features": {
        "seconds": 9.2,
        "reused": False,
        "peak_memory": 512_000_000,
        "bytes_read": 4_000_000_000,
        "chunks_read": 256,
    },
    "reduce": {
        "seconds": 11.9,
        "reused": False,
        "peak_memory": 713_000_000,
        "bytes_read": 52_000_000,
        "chunks_read": 16,
    },
    "embed": {"seconds": 31.4, "reused": True, "peak_memory": 640_000_000, "bytes_read": 0, "chunks_read": 0},
    "cluster": {"seconds": 2.7, "reused": False, "peak_memory": 420_000_000, "bytes_read": 0, "chunks_read": 0},
}
SOURCE = {"path": "grains.zspy", "shape": [128, 160, 144, 144], "dtype": "uint16", "fingerprint": "c0ffee"}


def grains(shape: tuple[int, ...], n_clusters: int, rng: np.random.Generator) -> np.ndarray:
    """A Voronoi map of `n_clusters`, each of several grains of uneven size, with noise along the boundaries."""
    n_seeds = max(4 * n_clusters, 1)
    seeds = rng.random((n_seeds, len(shape))) * shape
    owner = np.arange(n_seeds) % max(n_clusters, 1)
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1).reshape(-1, len(shape))
    nearest = np.full(len(grid), np.inf)
    second = nearest.copy()
    labels = np.full(len(grid), -1)
    for seed, cluster in zip(seeds, owner, strict=True):
        distance = np.linalg.norm(grid - seed, axis=1)
        closer = distance < nearest
        second = np.where(closer, nearest, np.minimum(second, distance))
        nearest = np.where(closer, distance, nearest)
        labels[closer] = cluster
    if n_clusters:
        labels[second - nearest < 0.8] = -1
    else:
        labels[:] = -1
    return labels.reshape(shape).astype(np.int32)


def patterns(n_clusters: int, side: int, rng: np.random.Generator) -> np.ndarray:
    k = np.linspace(-1, 1, side)
    ky, kx = np.meshgrid(k, k, indexing="ij")
    made = np.empty((n_clusters, side, side), np.float32)
    for c in range(n_clusters):
        angle, spacing = rng.random() * np.pi, 0.3 + 0.25 * rng.random()
        skew = np.pi / 2 if c % 2 else np.pi / 3
        a = spacing * np.array([np.cos(angle), np.sin(angle)])
        b = spacing * np.array([np.cos(angle + skew), np.sin(angle + skew)])
        image = 0.4 * np.exp(-(ky**2 + kx**2) / 0.3)
        for i in range(-4, 5):
            for j in range(-4, 5):
                y, x = i * a + j * b
                strength = 60 if i == j == 0 else 6 * np.exp(-(y**2 + x**2) / 0.6)
                image = image + strength / (1 + np.exp((np.hypot(ky - y, kx - x) - 0.055) / 0.008))
        made[c] = image
    return made


def spectra(n_clusters: int, energy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    made = []
    for _ in range(n_clusters):
        line = 30 * np.exp(-energy / 4) * (1 - np.exp(-energy / 0.4))
        for centre in rng.choice(np.linspace(0.4, 9.5, 24), 5, replace=False):
            line = line + rng.random() * 200 * np.exp(-(((energy - centre) / 0.07) ** 2))
        made.append(line)
    return np.array(made, np.float32).reshape(n_clusters, len(energy))


def navigation_coords(shape: tuple[int, ...], unit: str | None, descending: bool) -> dict[str, xr.DataArray]:
    dims = ("x",) if len(shape) == 1 else ("t", "z", "y", "x")[-len(shape) :]
    coords = {}
    for dim, size in zip(dims, shape, strict=True):
        values = np.arange(size) * 2.5 if unit else np.arange(size)
        attrs = {"role": "navigation"} | ({"units": unit} if unit else {})
        coords[dim] = xr.DataArray(values[::-1] if descending else values, dims=dim, attrs=attrs)
    return coords


def make_correlative(shape: tuple[int, ...] = (24, 32), n_clusters: int = 3, **options: Any) -> xr.Dataset:
    """A run of diffraction, X-rays, an image, and a radial profile on one grid."""
    run = make_run(shape, n_clusters, latent=3, **options)
    other = make_run(shape, n_clusters, signal="spectrum", side=12)
    rng = np.random.default_rng(5)
    for kind in ("mean", "std"):
        run[f"cluster_{kind}_diffraction"] = run[f"cluster_{kind}"]
        run[f"cluster_{kind}_eds"] = other[f"cluster_{kind}"]
        number = rng.random((n_clusters, 1)).astype(np.float32) * (40 if kind == "mean" else 5)
        run[f"cluster_{kind}_haadf"] = (("cluster", "image"), number)
        profile = rng.random((n_clusters, 20)).astype(np.float32) + np.linspace(3, 0, 20, dtype=np.float32)
        radius = xr.DataArray(np.linspace(0, 1.2, 20), dims="feature", attrs={"units": "1/nm"})
        profile = xr.DataArray(profile, dims=("cluster", "feature"), coords={"radius": radius})
        run[f"cluster_{kind}_profile"] = profile
    return run.drop_vars(["cluster_mean", "cluster_std"])


def make_trusted(
    shape: tuple[int, ...] = (24, 32), n_clusters: int = 3, repeats: int = 5, **options: Any
) -> xr.Dataset:
    """A run that knows how stable it is."""
    run = make_run(shape, n_clusters, **options)
    rng = np.random.default_rng(1)
    stable = np.where(run.labels < 0, rng.integers(1, repeats + 1, shape) / repeats, 1.0)
    run["stability"] = (run.labels.dims, stable.astype(np.float32))
    ari = 0.8 + 0.2 * rng.random((repeats, repeats))
    run["pairwise_ari"] = (("repeat", "other_repeat"), np.where(np.eye(repeats, dtype=bool), 1, (ari + ari.T) / 2))
    run["repeat_ari"] = ("repeat", 0.9 + 0.1 * rng.random(repeats))
    run["cluster_jaccard"] = (("repeat", "cluster"), 0.5 + 0.5 * rng.random((repeats, n_clusters)))
    return run


def make_estimate(largest: int = 12) -> xr.Dataset:
    """What estimate_clusters gives."""
    k = np.arange(1, largest + 1)
    silhouette = np.where(k < 2, np.nan, 0.7 - 0.05 * np.abs(k - 5))
    gap = 1 - np.exp(-k / 2) - 0.02 * np.maximum(k - 5, 0)
    curves = {
        "inertia": ("k", 1e6 / k**1.3, {"suggested": 4}),
        "silhouette": ("k", silhouette, {"suggested": 5}),
        "gap": ("k", gap, {"suggested": 5}),
        "gap_error": ("k", 0.02 + 0.001 * k),
    }
    return xr.Dataset(curves, coords={"k": k})


def make_run(
    shape: tuple[int, ...] = (24, 32),
    n_clusters: int = 3,
    *,
    signal: str = "pattern",
    side: int = 24,
    latent: int = 2,
    unit: str | None = "nm",
    descending: bool = False,
    invalid: int = 0,
    seed: int = 0,
) -> xr.Dataset:
    """A run as `open_run` gives it."""
    rng = np.random.default_rng(seed)
    nav = navigation_coords(shape, unit, descending)
    dims = tuple(nav)
    labels = grains(shape, n_clusters, rng)
    labels.reshape(-1)[:invalid] = -1
    probability = np.where(labels < 0, 0, np.clip(1 - rng.exponential(0.12, shape), 0.05, 1)).astype(np.float32)
    residual = (0.2 + 0.05 * rng.standard_normal(shape) + 0.1 * (labels == 0)).astype(np.float32)
    residual.reshape(-1)[:invalid] = np.nan
    probability.reshape(-1)[:invalid] = 0
    data: dict[str, xr.DataArray] = {
        "labels": xr.DataArray(labels, dims=dims),
        "probability": xr.DataArray(probability, dims=dims),
        "residual": xr.DataArray(residual, dims=dims),
    }
    if latent:
        centres = rng.standard_normal((n_clusters + 1, latent)) * 6
        points = centres[labels] + rng.standard_normal((*shape, latent)) * np.where(labels < 0, 3.0, 0.5)[..., None]
        data["embedding"] = xr.DataArray(points.astype(np.float32), dims=(*dims, "latent"))
    soft = rng.random((*shape, n_clusters)) ** 8 * 0.4
    soft[..., :] = np.where(np.arange(n_clusters) == labels[..., None], probability[..., None], soft)
    data["membership"] = xr.DataArray(soft.astype(np.float32), dims=(*dims, "cluster"))
    ratio = 0.6 ** np.arange(8) * 0.35
    data["explained_variance_ratio"] = xr.DataArray(ratio, dims="component")
    data["scores"] = xr.DataArray(rng.standard_normal((*shape, 8)).astype(np.float32), dims=(*dims, "component"))
    if signal == "pattern":
        mean, axes = patterns(n_clusters, side, rng), ("ky", "kx")
        attrs = {"role": "signal", "units": "1/Å"}
        coords = {d: xr.DataArray(np.linspace(-1.2, 1.2, side), dims=d, attrs=attrs) for d in axes}
    else:
        energy, axes = np.linspace(0, 10, 20 * side), ("energy",)
        mean = spectra(n_clusters, energy, rng)
        coords = {"energy": xr.DataArray(energy, dims="energy", attrs={"role": "signal", "units": "keV"})}
    data["cluster_mean"] = xr.DataArray(mean, dims=("cluster", *axes), coords=coords)
    data["cluster_std"] = xr.DataArray(np.sqrt(np.maximum(mean, 0)), dims=("cluster", *axes), coords=coords)
    sizes = np.array([(labels == i).sum() for i in range(n_clusters)], np.int64)
    data["cluster_size"] = xr.DataArray(sizes, dims="cluster")
    run = xr.Dataset(data).assign_coords(nav)
    run.attrs = {
        "recipe": RECIPE,
        "source": json.dumps(SOURCE),
        "stages": json.dumps(STAGES),
        "plan": json.dumps(PLAN),
        "versions": json.dumps({"refold": "0.1.0", "numpy": "2.4.6", "umap-learn": "0.5.9", "hdbscan": "0.8.41"}),
    }
    return run
