"""Commands that read a scan: `run`, `plan`, `convert`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from refold.cli.options import (
    AsJson,
    Crop,
    Memory,
    Output,
    Rebin,
    Scan,
    Set,
    Signal,
    Workers,
    given_a_recipe,
    recipe_of,
)
from refold.cli.printing import out, print_json, print_table, tell
from refold.planning import format_bytes
from refold.recipe import Recipe, parse_factors


@given_a_recipe
def run(
    recipe: Recipe,
    output: Output = None,
    save_recipe: Annotated[Path | None, typer.Option(help="Write the recipe of this run there.")] = None,
    json_: AsJson = False,
) -> None:
    """Do the whole pipeline: raw scan in, every pixel labelled. A run that was stopped goes on."""
    if save_recipe is not None:
        recipe.save(save_recipe)
    from refold.pipeline import execute

    outcome = execute(recipe=recipe, store=output)
    print_json(outcome.as_dict()) if json_ else tell(outcome.as_dict())


@given_a_recipe
def plan(recipe: Recipe, output: Output = None, json_: AsJson = False) -> None:
    """Say what a run would read, write, hold in memory and take. Computes nothing."""
    from refold.pipeline import plan as plan_run

    forecast = plan_run(recipe=recipe, store=output).as_dict()
    if json_:
        print_json(
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
    print_table(table)
    out.print(
        f"In all {forecast['sweeps']} sweeps of {forecast['tasks']} tasks; {forecast['chunks_read']} chunks, "
        f"{sizes[0]} read; {sizes[1]} written before compression; peak memory {sizes[2]} with "
        f"{format_bytes(forecast['memory_allowed'])} allowed for data; about {forecast['seconds']:.0f} s."
    )
    for note in forecast["notes"]:
        out.print(note, markup=False, highlight=False, soft_wrap=True)


def convert(
    scan: Scan,
    output: Annotated[Path, typer.Option("--output", "-o", help="The new Zarr store.")],
    signal: Signal = None,
    rebin: Rebin = None,
    crop: Crop = None,
    chunks: Annotated[str | None, typer.Option(help="Sizes of navigation tiles, as in y=32,x=32.")] = None,
    shard: Annotated[
        str | None, typer.Option(help="Put chunks into shards: auto, or sizes, as in y=128,x=128.")
    ] = None,
    set_: Set = None,
    memory: Memory = None,
    workers: Workers = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store that is there.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a conversion stopped, and leave that.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read the new store again, and compare.")] = False,
    json_: AsJson = False,
) -> None:
    """Copy a scan into a Zarr store whose chunks hold whole signals; each of its own chunks is decoded once."""
    from refold.source import convert as convert_scan

    recipe = recipe_of(scan, signal=signal, rebin=rebin, crop=crop, set_=set_, memory=memory, workers=workers)
    given, options = _to_convert(recipe)
    done = convert_scan(
        given,
        output,
        chunks=parse_factors(chunks) if chunks else None,
        shards=shard == "auto" or (parse_factors(shard) if shard else False),
        memory=recipe.resources.memory,
        workers=recipe.resources.workers,
        overwrite=overwrite,
        resume=resume,
        verify=verify,
        **options,
    )
    if json_:
        print_json(done.as_dict())
        return
    sizes = [format_bytes(size) for size in (done.bytes_read, done.bytes_stored, done.peak_memory)]
    shape = ", ".join(f"{dim} {size}" for dim, size in done.chunks.items())
    if done.shards:
        shape += " in shards of " + ", ".join(f"{dim} {size}" for dim, size in done.shards.items())
    passes = "one pass" if done.passes == 1 else "two passes"
    out.print(
        f"{sizes[0]} read, each chunk once, and {sizes[1]} stored in {passes}; chunks of {shape}; "
        f"{done.seconds:.1f} s, peak memory {sizes[2]}"
    )
    out.print(f"checksum {done.checksum}{', and so it is when read again' if done.verified else ''}")
    out.print(f"scan    {done.store}", soft_wrap=True)


def _to_convert(recipe: Recipe) -> tuple[Any, dict[str, Any]]:
    """What to convert: a file as it is, or a cube that is prepared on the way."""
    source = recipe.source.to_dict()
    path = source.pop("path")
    source.pop("images", None)  # a copy is of the scan alone
    if recipe.prepare == Recipe().prepare:
        return path, source
    from refold.parts import prepare
    from refold.source import open as open_scan

    cube, steps = open_scan(path, **source), recipe.prepare
    if "good" in cube.coords and not steps.bands:  # a copy has all bands, unless told otherwise
        steps = replace(steps, bands={"good": False})
    return prepare(cube, steps)[1], {}
