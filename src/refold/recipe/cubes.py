"""Sections of a recipe about the cubes of a scan: what is learnt from of each, and how they are fused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from refold.errors import RecipeError
from refold.recipe.checking import Section, nearest, option, plain
from refold.recipe.scan import Prepare, Source


@dataclass(frozen=True)
class Features(Section):
    """What of a cube's signal is learnt from; the whole prepared signal by default. See `refold.features`.

    Parameters
    ----------
    describe : {"radial_profile", "angular_variance", "virtual_detectors", "centre_of_mass", "cepstrum", "log_fourier"}
        Descriptors that take the place of a pattern.
    elements : sequence of str or "listed", optional
        Maps of X-ray lines that take the place of spectra, ``["Fe_Ka", "O"]``, or of those that the file lists. See
        `refold.element_maps`.
    parameters : dict
        Options of the descriptor, or of the maps, as its function takes them.
    select : {"deviation", "channels"}
        Which signal pixels or channels are kept: see `refold.DeviationSelection`, `refold.ChannelSelection`.
    keep : float, optional
        Share of them to keep.
    threshold : float, optional
        Least variance of a channel that is kept.
    beam : {"find", "none"} or (float, float, float)
        Direct beam that is left out: found, none, or its centre and radius.
    include, exclude : sequence of (float, float) or str, optional
        Windows in the units of the axis that are looked into or left out; elements stand for windows about their
        X-ray lines, as in ``exclude = ["Cu", [0, 0.2]]``.
    log : bool
        Take the logarithm of 1 + value of what is kept; deviations are those of the logarithms then.
    then : sequence of str or dict, optional
        Steps on what is kept, in their order, any of them as often as wanted: ``"normalise"``,
        ``"neighbour_average"``, ``"zscore"``, ``"softmax"``, ``"log1p"`` and ``"clip"``, with options as in
        ``{ neighbour_average = { radius = 2 } }``. See the functions of these names, as `refold.zscore`.
    scale : {"none", "standard", "robust", "minmax", "unit"}
        How features are made comparable.
    weight : float
        Factor of all features of this cube. With 0 it is not learnt from: only its mean in each cluster is taken.
    align : {"nearest", "linear"}, optional
        How a cube on another navigation grid is brought to that of the first; an error without.
    """

    describe: (
        Literal["radial_profile", "angular_variance", "virtual_detectors", "centre_of_mass", "cepstrum", "log_fourier"]
        | None
    ) = None
    elements: tuple[str, ...] | Literal["listed"] | None = option(None, example='["Fe_Ka", "O_Ka"]')
    parameters: dict[str, Any] = option({}, example="{ n_bins = 40 }")
    select: Literal["deviation", "channels"] | None = None
    keep: float | None = option(None, share=True, example="0.4")
    threshold: float | None = option(None, least=0, example="0.01")
    beam: Literal["find", "none"] | tuple[float, float, float] = option("find", example="[0, 0, 5]")
    include: tuple[str | tuple[float, float], ...] | None = option(None, example="[[0.2, 10]]")
    exclude: tuple[str | tuple[float, float], ...] | None = option(None, example='["Cu", [0, 0.2]]')
    log: bool = False
    then: tuple[str | dict[str, Any], ...] | None = option(None, example='["neighbour_average", "zscore", "softmax"]')
    scale: Literal["none", "standard", "robust", "minmax", "unit"] = "none"
    weight: float = option(1.0, least=0, example="2.0")
    align: Literal["nearest", "linear"] | None = None

    def __post_init__(self) -> None:
        """Check each field, and the steps."""
        super().__post_init__()
        if self.elements is not None and self.describe is not None:
            found = f"features.describe = {self.describe!r} beside features.elements"
            raise RecipeError(found, "one of them", "leave out the one that is not meant")
        for step in self.then or ():
            _check_step(step)

    @property
    def steps(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """What ``then`` says, as names with options.

        Examples
        --------
        >>> Features(then=["zscore", {"neighbour_average": {"radius": 2}}]).steps
        (('zscore', {}), ('neighbour_average', {'radius': 2}))
        """
        tables = ({step: {}} if isinstance(step, str) else step for step in self.then or ())
        return tuple((name, dict(options)) for table in tables for name, options in table.items())


# Steps that features may go through, with their options.
_STEPS: dict[str, tuple[str, ...]] = {
    "normalise": ("how",),
    "neighbour_average": ("radius",),
    "zscore": (),
    "softmax": (),
    "log1p": (),
    "clip": ("low", "high"),
}


def _check_step(step: str | dict[str, Any]) -> None:
    table = {step: {}} if isinstance(step, str) else step
    if len(table) != 1 or not all(isinstance(options, Mapping) for options in table.values()):
        wanted = "a name, or one name with a table of options"
        raise RecipeError(f"{plain(step)!r} in features.then", wanted, "write { neighbour_average = { radius = 2 } }")
    for name, options in table.items():
        if name not in _STEPS:
            wanted = f"one of {', '.join(_STEPS)}"
            raise RecipeError(f"step {name!r} in features.then", wanted, nearest(name, _STEPS))
        for key in options:
            if key not in _STEPS[name]:
                wanted = f"one of {', '.join(_STEPS[name])}" if _STEPS[name] else "none"
                found = f"option {key!r} of {name} in features.then"
                raise RecipeError(found, wanted, nearest(key, _STEPS[name]))


@dataclass(frozen=True)
class Fuse(Section):
    """How the cubes of a scan become one feature space. See `refold.Fusion`.

    Parameters
    ----------
    balance : {"none", "maximum", "variance"}, optional
        What is made equal between the cubes before their weights: nothing, their largest value, or their total
        variance. By default the variance, where there are several cubes.
    scale : {"none", "standard", "robust", "minmax"}
        How the features of all cubes are made comparable, at the end.
    """

    balance: Literal["none", "maximum", "variance"] | None = None
    scale: Literal["none", "standard", "robust", "minmax"] = "none"


@dataclass(frozen=True)
class CubeOptions:
    """Options of one cube of a scan of several: ``[cubes.NAME.source]``, ``.prepare``, ``.features``.

    Parameters
    ----------
    source, prepare, features : mapping
        Options that are given; any other is as the recipe's own sections of these names say.

    Examples
    --------
    >>> CubeOptions.from_mapping("eds", {"features": {"weight": 2}}).features
    {'weight': 2.0}
    """

    source: Mapping[str, Any] = field(default_factory=dict)
    prepare: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, name: str, tables: Any) -> Self:
        """Make the options of a cube of its tables.

        Parameters
        ----------
        name : str
            Of the cube, for errors.
        tables : mapping
            ``source``, ``prepare`` and ``features``, each a mapping.

        Raises
        ------
        RecipeError
            If a table or a key is unknown, or a value of the wrong kind.
        """
        if isinstance(tables, cls):
            return tables
        if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
            raise RecipeError(f"cubes.{name} = {tables!r}", "tables of options", f"write [cubes.{name}.features]")
        made = {}
        for part, table in tables.items():
            if part not in _PARTS:
                raise RecipeError(f"table [cubes.{name}.{part}]", f"one of {', '.join(_PARTS)}", nearest(part, _PARTS))
            try:
                section = _PARTS[part].from_mapping(table)
            except RecipeError as error:
                raise RecipeError(f"in cubes.{name}: {error.found}", error.wanted, error.remedy) from None
            made[part] = {key: getattr(section, key) for key in table if getattr(section, key) is not None}
        return cls(**made)

    def to_dict(self) -> dict[str, Any]:
        """Options that are given, as plain tables.

        Examples
        --------
        >>> CubeOptions(features={"log": True}).to_dict()
        {'features': {'log': True}}
        """
        return {part: plain(table) for part in _PARTS if (table := getattr(self, part))}

    def over(self, source: Source, prepare: Prepare, features: Features) -> tuple[Source, Prepare, Features]:
        """These options, and the recipe's own where they say nothing.

        Parameters
        ----------
        source, prepare, features : Section
            The recipe's own.

        Returns
        -------
        Source, Prepare, Features
            Those of this cube.

        Examples
        --------
        >>> CubeOptions(features={"weight": 2}).over(Source(path="scan.zspy"), Prepare(), Features(log=True))[2].log
        True
        """
        own = self.to_dict()
        return (
            replace(source, **own.get("source", {})),
            replace(prepare, **own.get("prepare", {})),
            replace(features, **own.get("features", {})),
        )


_PARTS: dict[str, type[Section]] = {"source": Source, "prepare": Prepare, "features": Features}
