"""Commands that look at a file or a run: `info`, `report`, `demo`."""

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
    if added := _added_to(file):
        out.print(f"clusterings: {', '.join(added)}; see refold clusterings", highlight=False, soft_wrap=True)


def _added_to(file: str) -> list[str]:
    """Clusterings that were added to a run, if the file is one."""
    from refold.store import RunStore, saved_names
    from refold.store.disk import is_run

    return saved_names(RunStore.open(file).note) if is_run(Path(file)) else []


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
    clustering: Annotated[
        str | None, typer.Option(help="A clustering that was added to the run; see refold clusterings.")
    ] = None,
    edits: Annotated[str | None, typer.Option(help="Edits by hand that were saved; the usual name is edits.")] = None,
    json_: AsJson = False,
) -> None:
    """Write the page of a run again, or that of a clustering that was added to it, as edited by hand or not."""
    from refold.report import write_report
    from refold.store import open_run

    run = open_run(store, clustering) if edits is None else _edited(store, clustering, edits)
    named = f".{run.attrs['clustering']}.html" if "clustering" in run.attrs else ".html"
    named = named if edits is None else f".{edits}{named}"
    page = write_report(run, output or store.with_suffix(named))
    print_json({"store": str(store), "report": str(page)}) if json_ else out.print(f"report  {page}", soft_wrap=True)


def _edited(store: Path, clustering: str | None, name: str) -> Any:
    """A run as it was edited by hand and saved."""
    from refold.editing import edits as edits_of
    from refold.errors import DataError, ParameterError

    found = edits_of(store, clustering, name)
    if not found.revision:
        raise ParameterError(f"no edits {name!r} in {store}", "edits that were saved", "save them, or name others")
    try:
        return found.apply(statistics=True)
    except DataError:  # the run keeps nothing that a mean could be taken of
        return found.apply()


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
