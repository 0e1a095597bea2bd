"""A run written down."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from refold.errors import RecipeError
from refold.recipe.checking import Section, nearest
from refold.recipe.cubes import CubeOptions, Features, Fuse
from refold.recipe.options import place
from refold.recipe.scan import Prepare, Source
from refold.recipe.sections import Backproject, Cluster, Embed, Landmarks, Reduce, Resources
from refold.recipe.shipped import shipped_text

# Which sections each stage of a run depends on, besides what the stages before it do.
STAGES: dict[str, tuple[str, ...]] = {
    "features": ("source", "prepare"),
    "fuse": ("features", "fuse"),
    "reduce": ("reduce",),
    "embed": ("landmarks", "embed"),
    "cluster": ("cluster",),
    "labels": ("backproject",),
    "statistics": (),
}
# Where a file lies is no property of the scan: its identity is fingerprinted by the store, from the data.
_NOT_FINGERPRINTED = {"source": {"path"}}
_KINDS: dict[str, type[Section]] = {
    kind.title(): kind
    for kind in (Source, Prepare, Features, Fuse, Reduce, Landmarks, Embed, Cluster, Backproject, Resources)
}
# Which tables of a cube belong to which stage.
_OF_CUBES = {"features": ("source", "prepare"), "fuse": ("features",)}


@dataclass(frozen=True)
class Recipe:
    """A run written down: validated, and TOML in and out.

    Parameters
    ----------
    source, prepare, features, fuse, reduce, landmarks, embed, cluster, backproject, resources : section or mapping
        Options of each part; what is not given has its default. A mapping is checked like a table of TOML.
    cubes : mapping of str to CubeOptions or mapping
        For a scan of several cubes, the tables ``source``, ``prepare`` and ``features`` of each that differ.

    Raises
    ------
    RecipeError
        If a section or key is unknown, or a value of the wrong kind; it names the one that was probably meant.

    Examples
    --------
    >>> recipe = Recipe(prepare={"rebin": {"ky": 2, "kx": 2}}, reduce={"n_components": 0.99})
    >>> recipe.prepare.rebin["ky"], recipe.reduce.n_components, recipe.embed.method
    (2, 0.99, 'umap')
    >>> Recipe.from_toml(recipe.to_toml()) == recipe
    True
    >>> Recipe(reduce={"n_component": 5})
    Traceback (most recent call last):
    ...
    refold.errors.RecipeError: found key 'n_component' in [reduce]; wanted one of method, ...
    """

    source: Source = field(default_factory=Source)
    prepare: Prepare = field(default_factory=Prepare)
    features: Features = field(default_factory=Features)
    fuse: Fuse = field(default_factory=Fuse)
    reduce: Reduce = field(default_factory=Reduce)
    landmarks: Landmarks = field(default_factory=Landmarks)
    embed: Embed = field(default_factory=Embed)
    cluster: Cluster = field(default_factory=Cluster)
    backproject: Backproject = field(default_factory=Backproject)
    resources: Resources = field(default_factory=Resources)
    cubes: Mapping[str, CubeOptions] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make sections of mappings."""
        if not isinstance(self.cubes, Mapping):
            raise RecipeError(f"cubes = {self.cubes!r}", "a table for each cube", "write [cubes.eds.features]")
        cubes = {str(name): CubeOptions.from_mapping(str(name), tables) for name, tables in self.cubes.items()}
        object.__setattr__(self, "cubes", cubes)
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if isinstance(value, Mapping):
                object.__setattr__(self, name, kind.from_mapping(value))
            elif not isinstance(value, kind):
                raise RecipeError(f"{name} = {value!r}", "a table of options", f"write them under [{name}]")

    @classmethod
    def from_dict(cls, tables: Mapping[str, Any]) -> Self:
        """Make a recipe of plain tables, as TOML and JSON give them.

        Parameters
        ----------
        tables : mapping
            Section name to its options.

        Returns
        -------
        Recipe
            The recipe.

        Raises
        ------
        RecipeError
            If a section or key is unknown, or a value of the wrong kind.

        Examples
        --------
        >>> Recipe.from_dict({"landmarks": {"n": 5000}}).landmarks.n
        5000
        """
        known = (*_KINDS, "cubes")
        for name in tables:
            if name not in known:
                raise RecipeError(f"section [{name}]", f"one of {', '.join(known)}", nearest(str(name), known))
        return cls(**tables)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """All options as plain tables; what is not set is left out.

        Examples
        --------
        >>> Recipe().to_dict()["landmarks"]
        {'random_state': 0}
        """
        cubes = {name: cube.to_dict() for name, cube in self.cubes.items()}
        tables = {name: table for name in _KINDS if (table := getattr(self, name).to_dict())}
        return {**tables, **({"cubes": cubes} if cubes else {})}

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Read a recipe from TOML.

        Raises
        ------
        RecipeError
            If it is no TOML, or no recipe.

        Examples
        --------
        >>> Recipe.from_toml("prepare.rebin = { ky = 2 }").prepare.rebin
        {'ky': 2}
        """
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"text that is no TOML: {error}", "a recipe in TOML", "mend that line") from error
        return cls.from_dict(tables)

    def to_toml(self) -> str:
        """Write the recipe as TOML, with every option that has a value, so that it says what was done in full.

        Examples
        --------
        >>> print(Recipe(source={"path": "scan.zspy"}).to_toml().splitlines()[1])
        path = "scan.zspy"
        """
        import tomli_w

        return tomli_w.dumps(self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a recipe file, or one that comes with the package, by its name.

        Raises
        ------
        RecipeError
            If there is no such file, or it is no recipe.

        Examples
        --------
        >>> Recipe.load("correlative-4dstem-eds").embed.densmap
        True
        """
        if isinstance(path, str) and not path.endswith(".toml") and not Path(path).exists():
            return cls.from_toml(shipped_text(path))
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(
                f"recipe {os.fspath(path)!r} that cannot be read ({error})", "a TOML file", "check the path"
            ) from error
        return cls.from_toml(text)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the recipe to a file.

        Raises
        ------
        RecipeError
            If the file cannot be written.
        """
        try:
            Path(path).write_text(self.to_toml(), encoding="utf-8")
        except OSError as error:
            raise RecipeError(
                f"recipe {os.fspath(path)!r} that cannot be written ({error})", "a path to write to", "name another"
            ) from error

    def with_options(self, **options: Any) -> Self:
        """Change some options, by the short names that `refold.run` and the command line use.

        Parameters
        ----------
        **options : object
            A field that only one section has by its own name (``rebin``, ``min_cluster_size``); ``n_components`` of
            ``reduce``; ``random_state`` of all; ``landmarks=5000``; ``embed="none"``; or a whole section as a mapping,
            of which only the keys given change. None leaves an option as it is.

        Returns
        -------
        Recipe
            A changed copy.

        Raises
        ------
        RecipeError
            If there is no such option, or its value is of the wrong kind.

        Examples
        --------
        >>> recipe = Recipe().with_options(rebin={"ky": 2}, n_components=8, embed={"densmap": True})
        >>> recipe.prepare.rebin, recipe.reduce.n_components, recipe.embed.densmap
        ({'ky': 2}, 8, True)
        """
        tables: dict[str, dict[str, Any]] = {
            name: {item.name: getattr(getattr(self, name), item.name) for item in fields(kind)}
            for name, kind in _KINDS.items()
        }
        known = {name: list(table) for name, table in tables.items()}
        cubes = merged({name: cube.to_dict() for name, cube in self.cubes.items()}, options.pop("cubes", None) or {})
        for name, value in options.items():
            if value is None:
                continue
            for section, key, item in place(name, value, known):
                tables[section][key] = item
        return type(self)(**tables, cubes=cubes)  # type: ignore[arg-type] # mappings are checked and become sections

    def of_cube(self, name: str) -> tuple[Source, Prepare, Features]:
        """Options of one cube: its own, and those of the sections that are for all.

        Parameters
        ----------
        name : str
            Of the cube.

        Returns
        -------
        Source, Prepare, Features
            Its sections.

        Examples
        --------
        >>> recipe = Recipe(features={"scale": "robust"}, cubes={"eds": {"features": {"log": True}}})
        >>> source, prepare, features = recipe.of_cube("eds")
        >>> features.log, features.scale
        (True, 'robust')
        """
        own = self.cubes.get(name, CubeOptions())
        return own.over(self.source, self.prepare, self.features)

    def section(self, name: str) -> dict[str, Any]:
        """Options of a section as arguments for the model it is about.

        Parameters
        ----------
        name : str
            A section.

        Returns
        -------
        dict
            Every field but ``method``; ``parameters`` are unpacked; of clusters only what the method takes.

        Examples
        --------
        >>> Recipe(embed={"parameters": {"n_epochs": 50}}).section("embed")["n_epochs"]
        50
        """
        if name not in _KINDS:
            raise RecipeError(f"section {name!r}", f"one of {', '.join(_KINDS)}", nearest(name, _KINDS))
        arguments: dict[str, Any] = getattr(self, name).arguments()
        return arguments

    def options(self, stage: str) -> dict[str, dict[str, Any]]:
        """Options that a stage adds to those of the stages before it: what its fingerprint is made of.

        Parameters
        ----------
        stage : {"features", "fuse", "reduce", "embed", "cluster", "labels", "statistics"}
            A stage of a run.

        Returns
        -------
        dict
            Section name to plain options that JSON can hold; resources and the path of the source are in none.

        Examples
        --------
        >>> Recipe().options("labels")
        {'backproject': {'neighbours': 10}}
        """
        if stage not in STAGES:
            raise RecipeError(f"stage {stage!r}", f"one of {', '.join(STAGES)}", nearest(stage, STAGES))
        found = {name: _fingerprinted(name, getattr(self, name).to_dict()) for name in STAGES[stage]}
        for cube in self.cubes:
            tables = self.cubes[cube].to_dict()
            own = {part: _fingerprinted(part, tables[part]) for part in _OF_CUBES.get(stage, ()) if part in tables}
            found |= {f"cubes.{cube}": own} if own else {}
        return found


def _fingerprinted(name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    left_out = _NOT_FINGERPRINTED.get(name, set())
    return {key: value for key, value in table.items() if key not in left_out}


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay tables over tables, all the way down.

    Examples
    --------
    >>> merged({"eds": {"features": {"log": True}}}, {"eds": {"features": {"weight": 2}}})
    {'eds': {'features': {'log': True, 'weight': 2}}}
    """
    found = dict(below)
    for name, value in above.items():
        old = found.get(name)
        found[name] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return found
