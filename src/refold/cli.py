"""The command line: `refold plan | run | convert | report | info | demo`. Each command delegates to one call."""

from __future__ import annotations

import json
import sys
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from refold.errors import RecipeError, RefoldError
from refold.planning import format_bytes
from refold.recipe import Recipe, parse_factors, parse_number, parse_ranges

app = typer.Typer(
    help="Segment scans larger than memory: every probe position gets its label.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out, err = Console(), Console(stderr=True)
_WIDE = 240

Scan = Annotated[str, typer.Argument(help="A scan in any format, or a recipe (.toml).")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where the run is kept (NAME.run.zarr).")]
Signal = Annotated[str | None, typer.Option(help="Which signal of the file; see refold info.")]
Rebin = Annotated[str | None, typer.Option(help="Factors, as in ky=2,kx=2.")]
Crop = Annotated[str | None, typer.Option(help="Ranges in the dims' own units, as in energy=100:900.")]
Components = Annotated[str | None, typer.Option(help="Number of components, or fraction of variance such as 0.99.")]
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
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")]


def main() -> None:
    """Entry point: errors of ours end with status 2 and no traceback."""
    with warnings.catch_warnings():
        warnings.showwarning = _note
        try:
            app(standalone_mode=True)
        except RefoldError as error:
            err.print(f"[bold red]{type(error).__name__}[/]", highlight=False)
            for title, text in (("found", error.found), ("wanted", error.wanted), ("to mend it", error.remedy)):
                err.print(f"  {title}: {text}", highlight=False, markup=False, soft_wrap=True)
            sys.exit(2)


def _note(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """Say a warning in one line, without its place in the code."""
    err.print(f"note: {message}", highlight=False, markup=False, soft_wrap=True)


def _recipe(scan: str | None, **options: Any) -> Recipe:
    """The recipe that the arguments say: a file's, if one was given, with the options on top."""
    recipe = (
        Recipe.load(scan)
        if scan is not None and scan.endswith(".toml")
        else Recipe.from_dict({"source": {"path": scan} if scan else {}})
    )
    parsers: dict[str, Callable[[str], Any]] = {
        "rebin": parse_factors,
        "crop": parse_ranges,
        "n_components": parse_number,
        "landmarks": parse_number,
    }
    given = {name: value for name, value in options.items() if value is not None}
    for assignment in given.pop("set_", None) or []:
        recipe = recipe.with_options(**_assigned(assignment))
    return recipe.with_options(
        **{name: parsers[name](value) if name in parsers else value for name, value in given.items()}
    )


def _assigned(text: str) -> dict[str, dict[str, Any]]:
    """Read ``section.key=value``, the value as TOML has it; bare words are text."""
    name, equals, value = text.partition("=")
    section, dot, key = name.partition(".")
    if not (equals and dot and key):
        raise RecipeError(f"--set {text}", "section.key=value", "write it as in --set embed.n_neighbors=30")
    try:
        return {section: {key: tomllib.loads(f"x = {value}")["x"]}}
    except tomllib.TOMLDecodeError:
        return {section: {key: value}}


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")


@app.command()
def run(
    scan: Scan,
    output: Output = None,
    signal: Signal = None,
    rebin: Rebin = None,
    crop: Crop = None,
    components: Components = None,
    scaling: Scaling = None,
    landmarks: LandmarkCount = None,
    min_cluster_size: ClusterSize = None,
    embed: Embedding = None,
    seed: Seed = None,
    set_: Set = None,
    memory: Memory = None,
    workers: Workers = None,
    features: Features = None,
    save_recipe: Annotated[Path | None, typer.Option(help="Write the recipe of this run there.")] = None,
    json_: AsJson = False,
) -> None:
    """Do the whole pipeline: raw scan in, every pixel labelled. A run that was stopped goes on."""
    recipe = _recipe(
        scan,
        signal=signal,
        rebin=rebin,
        crop=crop,
        n_components=components,
        scaling=scaling,
        landmarks=landmarks,
        min_cluster_size=min_cluster_size,
        embed=embed,
        random_state=seed,
        set_=set_,
        memory=memory,
        workers=workers,
        features=features,
    )
    if save_recipe is not None:
        recipe.save(save_recipe)
    from refold.pipeline import execute

    outcome = execute(recipe=recipe, store=output)
    _print_json(outcome.as_dict()) if json_ else _tell(outcome.as_dict())


@app.command()
def plan(
    scan: Scan,
    output: Output = None,
    signal: Signal = None,
    rebin: Rebin = None,
    crop: Crop = None,
    components: Components = None,
    scaling: Scaling = None,
    landmarks: LandmarkCount = None,
    embed: Embedding = None,
    set_: Set = None,
    memory: Memory = None,
    workers: Workers = None,
    features: Features = None,
    json_: AsJson = False,
) -> None:
    """Say what a run would read, write, hold in memory and take. Computes nothing."""
    recipe = _recipe(
        scan,
        signal=signal,
        rebin=rebin,
        crop=crop,
        n_components=components,
        scaling=scaling,
        landmarks=landmarks,
        embed=embed,
        set_=set_,
        memory=memory,
        workers=workers,
        features=features,
    )
    from refold.pipeline import plan as plan_run

    forecast = plan_run(recipe=recipe, store=output).as_dict()
    if json_:
        _print_json(
            {
                "store": str(output) if output else None,
                "report": None,
                "clusters": None,
                "noise": None,
                "ari": None,
                "forecast": {key: forecast[key] for key in ("peak_memory", "seconds")},
                **forecast,
            }
        )
        return
    table = Table("stage", "sweeps", "chunks read", "read", "features read", "written", "peak memory", "time")
    for name, stage in forecast["stages"].items():
        if stage["reused"]:
            table.add_row(name, *["-"] * 6, "reused")
            continue
        sizes = [format_bytes(stage[key]) for key in ("bytes_read", "features_read", "bytes_written", "peak_memory")]
        table.add_row(name, str(stage["sweeps"]), str(stage["chunks_read"]), *sizes, f"{stage['seconds']:.0f} s")
    sizes = [format_bytes(forecast[key]) for key in ("bytes_read", "bytes_written", "peak_memory")]
    _print_table(table)
    out.print(
        f"In all {forecast['sweeps']} sweeps of {forecast['tasks']} tasks; {forecast['chunks_read']} chunks, "
        f"{sizes[0]} read; {sizes[1]} written before compression; peak memory {sizes[2]} with "
        f"{format_bytes(forecast['memory_allowed'])} allowed for data; about {forecast['seconds']:.0f} s."
    )
    for note in forecast["notes"]:
        out.print(note, markup=False, highlight=False, soft_wrap=True)


@app.command()
def convert(
    scan: Scan,
    output: Annotated[Path, typer.Option("--output", "-o", help="The new Zarr store.")],
    signal: Signal = None,
    chunks: Annotated[str | None, typer.Option(help="Sizes of navigation tiles, as in y=32,x=32.")] = None,
    set_: Set = None,
    memory: Memory = None,
    workers: Workers = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store that is there.")] = False,
    json_: AsJson = False,
) -> None:
    """Copy a scan into a Zarr store whose chunks hold whole signals; each of its own chunks is decoded once."""
    from refold.source import convert as convert_scan

    recipe = _recipe(scan, signal=signal, set_=set_, memory=memory, workers=workers)
    source, use = recipe.source.to_dict(), recipe.resources
    tiles = parse_factors(chunks) if chunks else None
    done = convert_scan(
        source.pop("path"), output, chunks=tiles, memory=use.memory, workers=use.workers, overwrite=overwrite, **source
    )
    if json_:
        _print_json(done.as_dict())
        return
    sizes = [format_bytes(size) for size in (done.bytes_read, done.bytes_stored, done.peak_memory)]
    shape = ", ".join(f"{dim} {size}" for dim, size in done.chunks.items())
    passes = "one pass" if done.passes == 1 else "two passes"
    out.print(
        f"{sizes[0]} read, each chunk once, and {sizes[1]} stored in {passes}; chunks of {shape}; "
        f"{done.seconds:.1f} s, peak memory {sizes[2]}"
    )
    out.print(f"scan    {done.store}", soft_wrap=True)


@app.command()
def info(file: Annotated[str, typer.Argument(help="A file, directory or URL.")], json_: AsJson = False) -> None:
    """List the signals of a file: shape, dims, units, chunks, size."""
    from refold.source import info as info_of

    found = [signal.as_dict() for signal in info_of(file)]
    if json_:
        _print_json(found)
        return
    table = Table("signal", "dims", "shape", "dtype", "chunks", "units", "size")
    for signal in found:
        table.add_row(
            *(_short(signal[key]) for key in ("name", "dims", "shape", "dtype", "chunks", "units")),
            format_bytes(signal["bytes"]),
        )
    _print_table(table)


@app.command()
def report(
    store: Annotated[Path, typer.Argument(help="A run's store.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write the page.")] = None,
    json_: AsJson = False,
) -> None:
    """Write the page of a run again."""
    from refold.report import write_report
    from refold.store import open_run

    page = write_report(open_run(store), output or store.with_suffix(".html"))
    _print_json({"store": str(store), "report": str(page)}) if json_ else out.print(f"report  {page}", soft_wrap=True)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--output", "-o", help="Where to put phantom, run and report.")] = Path(
        "refold-demo"
    ),
    seed: Annotated[int, typer.Option(help="Seed of the phantom.")] = 0,
    json_: AsJson = False,
) -> None:
    """Make a 4D-STEM phantom, run the whole pipeline on it, and compare with the known truth."""
    from refold.demo import demo as run_demo

    outcome = run_demo(folder, seed=seed)
    _print_json(outcome) if json_ else _tell(outcome)


def _tell(outcome: dict[str, Any]) -> None:
    """Say for people what a run did, and beside it what was expected."""
    told = outcome["forecast"]
    for name, stage in outcome["stages"].items():
        out.print(f"{name:>12}  " + ("reused" if stage["reused"] else f"{stage['seconds']:.1f} s"))
    out.print(
        f"{outcome['clusters']} clusters, {outcome['noise']:.1%} noise; {outcome['chunks_read']} chunks read; "
        f"{outcome['seconds']:.1f} s (forecast {told['seconds']:.0f} s), "
        f"peak memory {format_bytes(outcome['peak_memory'])} (forecast {format_bytes(told['peak_memory'])})"
    )
    if not outcome["clusters"]:
        err.print("note: no cluster was found; lower --min-cluster-size, or take fewer --components", soft_wrap=True)
    if outcome["ari"] is not None:
        out.print(f"adjusted Rand index against the truth: {outcome['ari']:.4f}")
    out.print(f"run     {outcome['store']}", soft_wrap=True)
    out.print(f"report  {outcome['report']}", soft_wrap=True)


def _print_table(table: Table) -> None:
    """Print a table; into a file or a pipe wide enough that nothing is cut."""
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items() if item)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
