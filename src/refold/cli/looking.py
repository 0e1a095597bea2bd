"""Commands that look at a file or a run: `info`, `report`, `export`, `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from refold.cli.options import AsJson
from refold.cli.printing import out, print_json, print_table, short, tell
from refold.planning import format_bytes


def info(file: Annotated[str, typer.Argument(help="A file, directory or URL.")], json_: AsJson = False) -> None:
    """List the signals of a file: shape, dims, units, chunks, size."""
    from refold.source import info as info_of

    found = [signal.as_dict() for signal in info_of(file)]
    if json_:
        print_json(found)
        return
    table = Table("signal", "dims", "shape", "dtype", "chunks", "units", "size")
    for signal in found:
        table.add_row(
            *(short(signal[key]) for key in ("name", "dims", "shape", "dtype", "chunks", "units")),
            format_bytes(signal["bytes"]),
        )
    print_table(table)
    for signal in found:
        if said := _said_of(signal):
            out.print(f"{signal['name']}: {said}", highlight=False, soft_wrap=True)


def _said_of(signal: dict[str, Any]) -> str:
    """What no column has room for: where a signal reaches, where a scene lies, and what is bad of it."""
    axes = zip(signal["dims"], signal["ranges"], signal["units"], strict=False)
    spectral = [(dim, reach, unit) for dim, reach, unit in axes if reach and dim not in signal["navigation"]]
    said = [f"{dim} {reach[0]:.6g} to {reach[1]:.6g} {unit}" for dim, reach, unit in spectral]
    if signal["bad_bands"]:
        said.append(f"{signal['bad_bands']} bad bands")
    if signal["crs"]:
        said.append(signal["crs"])
    return "; ".join(said)


def report(
    store: Annotated[Path, typer.Argument(help="A run's store.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write the page.")] = None,
    json_: AsJson = False,
) -> None:
    """Write the page of a run again."""
    from refold.report import write_report
    from refold.store import open_run

    page = write_report(open_run(store), output or store.with_suffix(".html"))
    print_json({"store": str(store), "report": str(page)}) if json_ else out.print(f"report  {page}", soft_wrap=True)


def export(
    store: Annotated[Path, typer.Argument(help="A run's store.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The GeoTIFF to write.")],
    variable: Annotated[str, typer.Option(help="Which result: labels, probability, scores, ...")] = "labels",
    overwrite: Annotated[bool, typer.Option(help="Replace a file that is there.")] = False,
    json_: AsJson = False,
) -> None:
    """Write a result of a run as a GeoTIFF, where its scene lies on the map."""
    from refold.report import to_geotiff
    from refold.store import open_run

    written = to_geotiff(open_run(store), output, variable, overwrite=overwrite)
    found = {"store": str(store), "variable": variable, "file": str(written)}
    print_json(found) if json_ else out.print(f"file  {written}", soft_wrap=True)


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
    print_json(outcome) if json_ else tell(outcome)
