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
from refold.recipe.options import place
from refold.recipe.sections import Backproject, Cluster, Embed, Landmarks, Prepare, Reduce, Resources, Source

# Which sections each stage of a run depends on, besides what the stages before it do.
STAGES: dict[str, tuple[str, ...]] = {
    "features": ("source", "prepare"),
    "reduce": ("reduce",),
    "embed": ("landmarks", "embed"),
    "cluster": ("cluster",),
    "labels": ("backproject",),
    "statistics": (),
}
# Where a file lies is no property of the scan: its identity is fingerprinted by the store, from the data.
_NOT_FINGERPRINTED = {"source": {"path"}}
_KINDS: dict[str, type[Section]] = {
    kind.title(): kind for kind in (Source, Prepare, Reduce, Landmarks, Embed, Cluster, Backproject, Resources)
}


@dataclass(frozen=True)
class Recipe:
    """A run written down: validated, and TOML in and out.

    Parameters
    ----------
    source, prepare, reduce, landmarks, embed, cluster, backproject, resources : section or mapping
        Options of each part; what is not given has its default. A mapping is checked like a table of TOML.

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
    reduce: Reduce = field(default_factory=Reduce)
    landmarks: Landmarks = field(default_factory=Landmarks)
    embed: Embed = field(default_factory=Embed)
    cluster: Cluster = field(default_factory=Cluster)
    backproject: Backproject = field(default_factory=Backproject)
    resources: Resources = field(default_factory=Resources)

    def __post_init__(self) -> None:
        """Make sections of mappings."""
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
        for name in tables:
            if name not in _KINDS:
                raise RecipeError(f"section [{name}]", f"one of {', '.join(_KINDS)}", nearest(str(name), _KINDS))
        return cls(**tables)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """All options as plain tables; what is not set is left out.

        Examples
        --------
        >>> Recipe().to_dict()["landmarks"]
        {'random_state': 0}
        """
        return {name: table for name in _KINDS if (table := getattr(self, name).to_dict())}

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
        """Read a recipe file.

        Raises
        ------
        RecipeError
            If there is no such file, or it is no recipe.
        """
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
        for name, value in options.items():
            if value is None:
                continue
            for section, key, item in place(name, value, known):
                tables[section][key] = item
        return type(self)(**tables)  # type: ignore[arg-type] # mappings are checked and become sections

    def section(self, name: str) -> dict[str, Any]:
        """Options of a section as arguments for the model it is about.

        Parameters
        ----------
        name : str
            A section.

        Returns
        -------
        dict
            Every field but ``method``; ``parameters`` are unpacked.

        Examples
        --------
        >>> Recipe(embed={"parameters": {"n_epochs": 50}}).section("embed")["n_epochs"]
        50
        """
        if name not in _KINDS:
            raise RecipeError(f"section {name!r}", f"one of {', '.join(_KINDS)}", nearest(name, _KINDS))
        section = getattr(self, name)
        options = {item.name: getattr(section, item.name) for item in fields(section) if item.name != "method"}
        passed_through = options.pop("parameters", {})
        return {**options, **passed_through}

    def options(self, stage: str) -> dict[str, dict[str, Any]]:
        """Options that a stage adds to those of the stages before it: what its fingerprint is made of.

        Parameters
        ----------
        stage : {"features", "reduce", "embed", "cluster", "labels", "statistics"}
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
        return {name: self._fingerprinted(name) for name in STAGES[stage]}

    def _fingerprinted(self, name: str) -> dict[str, Any]:
        left_out = _NOT_FINGERPRINTED.get(name, set())
        return {key: value for key, value in getattr(self, name).to_dict().items() if key not in left_out}
