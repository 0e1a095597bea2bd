"""Sections of a recipe about the scan: where it is, and what is done before anything is learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from refold.errors import RecipeError
from refold.recipe.checking import Section, option


@dataclass(frozen=True)
class Source(Section):
    """Which scan, and what the file does not say of itself. See `refold.open`.

    Parameters
    ----------
    path : str, optional
        File, directory or URL.
    signal : str, optional
        Which signal, in a file that holds several.
    images : dict of str to float
        Images beside it, which become cubes of one value in a pixel: signals of the file by name, or files, each with
        its weight. See `refold.open`.
    signal_dims : tuple of str, optional
        Which dims are signal, where the file does not say.
    shape, dtype, offset : optional
        Shape, dtype and bytes of header of raw binary.
    reader : str, optional
        RosettaSciIO reader, where the suffix leaves a doubt.
    """

    path: str | None = None
    signal: str | None = None
    images: dict[str, float] = option({}, least=0, example="{ BSE = 0.5 }")
    signal_dims: tuple[str, ...] | None = option(None, example='["ky", "kx"]')
    shape: tuple[int, ...] | None = option(None, example="[64, 64, 256, 256]")
    dtype: str | None = option(None, example='"uint16"')
    offset: int = option(0, least=0, example="0")
    reader: str | None = option(None, example='"EMPAD"')


@dataclass(frozen=True)
class Prepare(Section):
    """Lazy steps before anything is learnt, in this order. See the functions of these names, as `refold.rebin`.

    Parameters
    ----------
    crop : dict of str to (float, float)
        Range to keep of each dim, in its own units.
    bands : dict
        Which bands to leave out, as the options of `refold.bands`. Those that the file lists as bad are left out
        anyway, unless ``good`` is false.
    spikes : dict
        Spikes of spectra to replace, as the options of `refold.remove_spikes`; the ``threshold`` must be a number,
        since finding one takes a sweep of its own.
    rebin : dict of str to int
        Factor of each dim.
    rebin_how : {"sum", "mean"}
        What becomes of the values that are merged.
    background : dict
        Power law to subtract, as the options of `refold.remove_background`.
    clip : dict
        ``min`` and ``max`` of the values.
    mask : dict
        Part of the signal to leave out or keep, as the options of `refold.mask`.
    log1p : bool
        Take the logarithm of 1 + value.
    normalise : {"total", "max", "unit"}, optional
        Divide each pixel by its sum, its largest value or its norm.
    """

    crop: dict[str, tuple[float, float]] = option({}, example="{ energy = [100, 900] }")
    bands: dict[str, Any] = option(
        {}, keys=("good", "windows", "drop", "keep", "step", "dim"), example="{ windows = [[1340, 1445]], step = 2 }"
    )
    spikes: dict[str, Any] = option(
        {},
        keys=("threshold", "width", "noise", "margin", "interpolate", "add_noise", "random_state"),
        example="{ threshold = 10 }",
    )
    rebin: dict[str, int] = option({}, least=1, example="{ ky = 2, kx = 2 }")
    rebin_how: Literal["sum", "mean"] = "sum"
    background: dict[str, Any] = option({}, keys=("window", "zero_before"), example="{ window = [480, 520] }")
    clip: dict[str, float] = option({}, keys=("min", "max"), example="{ min = 0, max = 1000 }")
    mask: dict[str, Any] = option(
        {}, keys=("circle", "annulus", "inside", "fill", "drop"), example="{ circle = [0, 0, 5] }"
    )
    log1p: bool = False
    normalise: Literal["total", "max", "unit"] | None = None

    def __post_init__(self) -> None:
        """Check each field, and that nothing has to be swept for before the plan is made."""
        super().__post_init__()
        if self.spikes and not isinstance(self.spikes.get("threshold"), int | float):
            raise RecipeError(
                f"prepare.spikes = {self.spikes!r}",
                "a threshold that is a number",
                "take the one that refold.remove_spikes(cube).threshold finds, as in spikes = { threshold = 10 }",
            )
        if self.background and "window" not in self.background:
            raise RecipeError(
                f"prepare.background = {self.background!r}", "a window", "write background = { window = [480, 520] }"
            )
