"""Phantoms: scans of any size whose truth is known, made lazily, the same for any chunking.

>>> phantom = four_d_stem(shape=(24, 24), detector=(32, 32), phases=2, seed=3)
>>> phantom.cube.dims, phantom.cube.dtype
(('y', 'x', 'ky', 'kx'), dtype('uint16'))
>>> int(phantom.labels.max())
2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from refold.errors import ParameterError
from refold.source.phantoms import patterns, spectra
from refold.source.phantoms.phantom import Phantom
from refold.source.phantoms.rates import Diffraction, Light, XRays
from refold.source.phantoms.scene import Scene, kinds_of

__all__ = ["Phantom", "Scene", "eds", "four_d_stem", "reflectance"]


def four_d_stem(
    shape: Sequence[int] = (64, 64),
    detector: tuple[int, int] = (64, 64),
    *,
    phases: int = 4,
    amorphous: int = 1,
    vacuum: int = 0,
    grains: int | None = None,
    rare: Sequence[int] = (),
    dose: float = 4000.0,
    thickness: tuple[float, float] = (0.96, 1.04),
    diffuse: float = 0.3,
    mixing: float = 0.0,
    k_max: float = 1.0,
    disc: float = 0.055,
    step: float = 1.0,
    dtype: npt.DTypeLike = "uint16",
    chunks: Sequence[int] | None = None,
    seed: int = 0,
) -> Phantom:
    """Make a 4D-STEM scan of a polycrystal.

    Labels are ``0 .. phases - 1`` for the crystalline phases, then the amorphous ones, then vacuum, then one for each
    rare phase. With the same shape, numbers of phases and grains, rare phases and seed, :func:`eds` and
    :func:`reflectance` show the same specimen.

    Parameters
    ----------
    shape : sequence of int
        Navigation shape: ``(x,)``, ``(y, x)`` or ``(z, y, x)``.
    detector : tuple of int
        Detector shape, ``(ky, kx)``.
    phases, amorphous, vacuum : int
        How many crystalline, amorphous and empty phases the grains share.
    grains : int, optional
        Number of Voronoi grains. By default three a phase and more on large scans.
    rare : sequence of int
        For each rare phase the exact number of pixels of its one compact precipitate.
    dose : float
        Mean electrons a pattern; counts are Poisson.
    thickness : tuple of float
        Thickness in mean free paths at the first and last position along ``x``.
    diffuse : float
        Share of the scattered electrons that carry no information on the phase.
    mixing : float
        Half width, in pixels, of the mixed zone between grains; 0 is a sharp boundary.
    k_max : float
        Half width of the detector's shorter side, 1/Å.
    disc : float
        Radius of the discs, 1/Å.
    step : float
        Distance between probe positions, nm.
    dtype : dtype
        Integer type of the counts.
    chunks : sequence of int, optional
        Chunk size along each navigation dim.
    seed : int
        Seed.

    Returns
    -------
    Phantom
        The lazy scan and its truth.

    Raises
    ------
    ParameterError
        If an option does not fit the others.

    Examples
    --------
    >>> phantom = four_d_stem(shape=(32, 32), detector=(16, 16), rare=(12,), chunks=(8, 8))
    >>> phantom.cube.kx.units, int((phantom.labels == 5).sum())
    ('1/Å', 12)
    """
    kinds = kinds_of(phases, amorphous, vacuum, rare)
    scene = _scene(
        shape,
        phases + amorphous + vacuum,
        grains=grains,
        rare=rare,
        thickness=thickness,
        mixing=mixing,
        seed=seed,
    )
    plate = patterns.Detector.centred(_pair(detector), k_max)
    sources = [patterns.direct_beam(plate, disc), patterns.diffuse(plate)]
    for rank, kind in enumerate(kinds):
        if kind == "crystal":
            sources.append(patterns.bragg(plate, rank, disc, seed))
        else:
            sources.append(patterns.halo(plate, rank) if kind == "amorphous" else np.zeros_like(sources[0]))
    empty = tuple(rank for rank, kind in enumerate(kinds) if kind == "vacuum")
    units = {"units": "1/Å"}
    return Phantom(
        scene,
        "diffraction",
        np.stack([source.ravel() for source in sources]),
        Diffraction(dose, diffuse, empty),
        {"ky": (plate.ky, units), "kx": (plate.kx, units)},
        np.dtype(dtype),
        step=step,
        chunks=tuple(chunks) if chunks is not None else None,
        attrs={"long_name": "diffraction", "units": "counts", "dose": dose, "phantom_seed": seed},
    )


def eds(
    shape: Sequence[int] = (64, 64),
    channels: int = 1024,
    *,
    phases: int = 4,
    amorphous: int = 1,
    vacuum: int = 0,
    grains: int | None = None,
    rare: Sequence[int] = (),
    counts: float = 400.0,
    thickness: tuple[float, float] = (0.96, 1.04),
    background: float = 0.3,
    grid: float = 0.05,
    compositions: Sequence[Mapping[str, float]] | None = None,
    energy: tuple[float, float] = (-0.1, 15.0),
    fwhm: float = 0.13,
    beam: float = 200.0,
    mixing: float = 0.0,
    step: float = 1.0,
    dtype: npt.DTypeLike = "uint16",
    chunks: Sequence[int] | None = None,
    seed: int = 0,
) -> Phantom:
    """Make an X-ray spectrum image of the specimen that :func:`four_d_stem` shows.

    Parameters
    ----------
    shape : sequence of int
        Navigation shape.
    channels : int
        Number of energy channels.
    phases, amorphous, vacuum, grains, rare, thickness, mixing, step, chunks, seed
        As for :func:`four_d_stem`.
    counts : float
        Mean counts a spectrum, at a thickness of one.
    background : float
        Share of bremsstrahlung.
    grid : float
        Share of the copper grid's lines, which every pixel shows.
    compositions : sequence of mapping, optional
        Share of each element in each phase, rare ones last. By default from a list of alloys and oxides.
    energy : tuple of float
        First and last channel, keV.
    fwhm : float
        Resolution at Mn Kα, keV.
    beam : float
        Energy of the beam, keV.
    dtype : dtype
        Integer type of the counts.

    Returns
    -------
    Phantom
        The lazy scan and its truth.

    Raises
    ------
    ParameterError
        If an option does not fit the others.

    Examples
    --------
    >>> phantom = eds(shape=(16, 16), channels=256, counts=100, dtype="uint8")
    >>> phantom.cube.dims, phantom.cube.energy.units
    (('y', 'x', 'energy'), 'keV')
    """
    kinds = kinds_of(phases, amorphous, vacuum, rare)
    made_of = list(compositions or [spectra.composition_of(rank, seed) for rank in range(len(kinds))])
    if len(made_of) != len(kinds):
        raise ParameterError(
            f"{len(made_of)} compositions", f"{len(kinds)}, one a phase", "give one for each, rare ones last"
        )
    if background + grid > 1 or min(background, grid) < 0:
        raise ParameterError(f"background={background}, grid={grid}", "shares that leave some for lines", "lower them")
    scene = _scene(
        shape,
        phases + amorphous + vacuum,
        grains=grains,
        rare=rare,
        thickness=thickness,
        mixing=mixing,
        seed=seed,
    )
    axis = np.linspace(*energy, _positive(channels))
    sources = [spectra.bremsstrahlung(axis, beam), spectra.x_ray_lines(axis, {"Cu": 1.0}, fwhm)]
    sources += [spectra.x_ray_lines(axis, composition, fwhm) for composition in made_of]
    empty = tuple(rank for rank, kind in enumerate(kinds) if kind == "vacuum")
    return Phantom(
        scene,
        "eds",
        np.stack(sources),
        XRays(counts, background, grid, empty),
        {"energy": (axis, {"units": "keV"})},
        np.dtype(dtype),
        step=step,
        chunks=tuple(chunks) if chunks is not None else None,
        attrs={"long_name": "X-rays", "units": "counts", "counts": counts, "phantom_seed": seed},
    )


def reflectance(
    shape: Sequence[int] = (64, 64),
    bands: int = 200,
    *,
    phases: int = 5,
    grains: int | None = None,
    rare: Sequence[int] = (),
    noise: float = 0.01,
    illumination: tuple[float, float] = (1.0, 1.0),
    mixing: float = 0.25,
    nodata: float = 0.0,
    nodata_value: float = float("nan"),
    wavelength: tuple[float, float] = (400.0, 2500.0),
    step: float = 1.0,
    chunks: Sequence[int] | None = None,
    seed: int = 0,
) -> Phantom:
    """Make a reflectance cube, as of remote sensing: smooth endmembers, mixed where surfaces meet, float32.

    Parameters
    ----------
    shape : sequence of int
        Navigation shape.
    bands : int
        Number of wavelengths.
    phases : int
        Number of surfaces (endmembers).
    grains, rare, mixing, chunks, seed
        As for :func:`four_d_stem`.
    noise : float
        Standard deviation of the noise, in reflectance.
    illumination : tuple of float
        Brightness at the first and last position along ``x``.
    nodata : float
        Share of the scan, a slanted wedge at its start, where nothing was measured; its label is -1.
    nodata_value : float
        What such pixels hold.
    wavelength : tuple of float
        First and last band, nm.
    step : float
        Size of a pixel, m.

    Returns
    -------
    Phantom
        The lazy scan and its truth.

    Raises
    ------
    ParameterError
        If an option does not fit the others.

    Examples
    --------
    >>> phantom = reflectance(shape=(16, 16), bands=50, nodata=0.1)
    >>> phantom.cube.dtype, int(phantom.labels.min())
    (dtype('float32'), -1)
    """
    scene = _scene(
        shape,
        phases,
        grains=grains,
        rare=rare,
        thickness=illumination,
        mixing=mixing,
        nodata=nodata,
        seed=seed,
    )
    axis = np.linspace(*wavelength, _positive(bands))
    return Phantom(
        scene,
        "reflectance",
        np.stack([spectra.reflectance_of(axis, rank, seed) for rank in range(scene.n_labels)]),
        Light(),
        {"wavelength": (axis, {"units": "nm"})},
        np.dtype(np.float32),
        step=step,
        units="m",
        gaussian=float(noise),
        nodata_value=nodata_value if nodata else None,
        chunks=tuple(chunks) if chunks is not None else None,
        attrs={"long_name": "reflectance", "phantom_seed": seed},
    )


def _scene(
    shape: Sequence[int],
    phases: int,
    *,
    grains: int | None,
    rare: Sequence[int],
    thickness: tuple[float, float],
    mixing: float,
    seed: int,
    nodata: float = 0.0,
) -> Scene:
    first, last = thickness
    if min(first, last) < 0 or mixing < 0:
        raise ParameterError(f"thickness {thickness}, mixing {mixing}", "numbers of 0 or more", "change them")
    sizes = tuple(int(n) for n in shape)
    return Scene(sizes, phases, grains, tuple(int(n) for n in rare), (float(first), float(last)), mixing, nodata, seed)


def _positive(n: int) -> int:
    if n < 1:
        raise ParameterError(f"{n} channels", "at least 1", "change it")
    return int(n)


def _pair(shape: Sequence[int]) -> tuple[int, int]:
    ky, kx = (_positive(n) for n in shape)
    return ky, kx
