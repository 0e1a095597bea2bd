"""What is written behind a command, and the recipe that it says."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from refold.errors import RecipeError
from refold.recipe import Recipe, parse_elements, parse_factors, parse_images, parse_number, parse_ranges

Scan = Annotated[str, typer.Argument(help="A scan in any format, or a recipe (.toml).")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where the run is kept (NAME.run.zarr).")]
Signal = Annotated[str | None, typer.Option(help="Which signal of the file; see refold info.")]
Rebin = Annotated[str | None, typer.Option(help="Factors, as in ky=2,kx=2.")]
Crop = Annotated[str | None, typer.Option(help="Ranges in the dims' own units, as in energy=100:900.")]
Images = Annotated[
    str | None,
    typer.Option(help="Images beside the scan, by name or file, with weights, as in BSE=0.5; see refold info."),
]
Elements = Annotated[
    str | None, typer.Option(help="Learn from maps of X-ray lines, as in Fe_Ka,O; or listed, for those of the file.")
]
Reduction = Annotated[str | None, typer.Option("--reduce", help="pca, mnf, nmf, ica, autoencoder or none.")]
Components = Annotated[
    str | None, typer.Option("--components", help="Number of components, or fraction of variance such as 0.99.")
]
Scaling = Annotated[str | None, typer.Option(help="none, standard or poisson.")]
LandmarkCount = Annotated[
    str | None, typer.Option("--landmarks", help="Pixels to fit on: a number, or a share such as 0.1.")
]
ClusterSize = Annotated[int | None, typer.Option("--min-cluster-size", help="Fewest landmarks that are a cluster.")]
Embedding = Annotated[str | None, typer.Option("--embed", help="umap or none.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of everything random.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Any option of a recipe, as in embed.n_neighbors=30; may be repeated.")
]
Memory = Annotated[str | None, typer.Option(help="Memory for data, as in 2GB; a quarter of what is free by default.")]
Workers = Annotated[int | None, typer.Option(help="Partitions in flight; one for each core by default.")]
Features = Annotated[
    bool | None,
    typer.Option("--features/--no-features", help="Write the prepared features, so that the scan is read once."),
]
Base = Annotated[
    str | None, typer.Option("--recipe", help="A recipe to begin with: one of refold recipe list, or a file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")]


# What says a recipe, under the names that `recipe_of` knows, in the order in which help lists it.
_OF_A_RECIPE: dict[str, Any] = {
    "signal": Signal,
    "rebin": Rebin,
    "crop": Crop,
    "elements": Elements,
    "images": Images,
    "reduce": Reduction,
    "n_components": Components,
    "scaling": Scaling,
    "landmarks": LandmarkCount,
    "min_cluster_size": ClusterSize,
    "embed": Embedding,
    "random_state": Seed,
    "recipe": Base,
    "set_": Set,
    "memory": Memory,
    "workers": Workers,
    "features": Features,
}


def given_a_recipe(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take a scan and everything that says a recipe, where it was written to take the recipe.

    Parameters
    ----------
    command : callable
        Its first parameter is the recipe; the others are its own options.

    Returns
    -------
    callable
        The same command, with a signature that Typer reads the options from.
    """
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    named = inspect.Parameter.KEYWORD_ONLY
    scan = inspect.Parameter("scan", named, annotation=Scan)
    said = [inspect.Parameter(name, named, default=None, annotation=kind) for name, kind in _OF_A_RECIPE.items()]
    parameters = [scan, *(parameter.replace(kind=named) for parameter in own), *said]

    def called(**given: Any) -> None:
        options = {name: given.pop(name) for name in _OF_A_RECIPE}
        command(recipe_of(given.pop("scan"), **options), **given)

    called.__name__, called.__doc__ = command.__name__, command.__doc__
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # functions may have one
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def recipe_of(scan: str | None, **options: Any) -> Recipe:
    """The recipe that the arguments say: a file's, or one by name, if one was given, with the options on top."""
    recipe = Recipe() if (base := options.pop("recipe", None)) is None else Recipe.load(base)
    if scan is not None and scan.endswith(".toml"):
        recipe = Recipe.load(scan)
    elif scan is not None:
        recipe = recipe.with_options(source={"path": scan})
    parsers: dict[str, Callable[[str], Any]] = {
        "rebin": parse_factors,
        "crop": parse_ranges,
        "elements": parse_elements,
        "images": parse_images,
        "n_components": parse_number,
        "landmarks": parse_number,
    }
    given = {name: value for name, value in options.items() if value is not None}
    for assignment in given.pop("set_", None) or []:
        recipe = recipe.with_options(**assigned(assignment))
    return recipe.with_options(
        **{name: parsers[name](value) if name in parsers else value for name, value in given.items()}
    )


def assigned(text: str) -> dict[str, Any]:
    """Read ``section.key=value``, also of a cube, the value as TOML has it; bare words are text."""
    name, equals, value = text.partition("=")
    *sections, key = name.split(".")
    if not (equals and all(sections) and sections and key):
        raise RecipeError(f"--set {text}", "section.key=value", "write it as in --set embed.n_neighbors=30")
    found = _value(value)
    for part in reversed([*sections, key]):
        found = {part: found}
    return dict(found)


def parameter(text: str) -> tuple[str, Any]:
    """Read ``key=value``, the value as TOML has it; bare words are text."""
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise RecipeError(f"--set {text}", "key=value", "write it as in --set covariance_type=tied")
    return name, _value(value)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text
