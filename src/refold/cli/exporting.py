"""`refold export`: a run for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from refold.cli.options import AsJson
from refold.cli.printing import out, print_json
from refold.errors import ParameterError

_SIGNALS = {".hspy", ".zspy"}  # as which HyperSpy keeps a signal with its results


def export(
    store: Annotated[Path, typer.Argument(help="A run's store.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A GeoTIFF of one result, or all as a signal (.hspy).")
    ] = None,
    variable: Annotated[str, typer.Option(help="Which result: labels, probability, scores, ...")] = "labels",
    labels: Annotated[
        Path | None, typer.Option(help="The label map, as .tif, .png, .npy or .zarr.", metavar="FILE")
    ] = None,
    masks: Annotated[Path | None, typer.Option(help="A TIFF for each cluster.", metavar="FOLDER")] = None,
    spectra: Annotated[
        Path | None, typer.Option(help="Spectra of clusters, as .csv, or as .msa in a folder.", metavar="PATH")
    ] = None,
    as_: Annotated[
        str | None, typer.Option("--as", help="tiff, geotiff, png, npy, zarr for labels; csv, msa for spectra.")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="An image as large as which masks and labels are written.", metavar="IMAGE")
    ] = None,
    sums: Annotated[bool, typer.Option("--sums", help="Sums of the clusters' spectra, not means.")] = False,
    edits: Annotated[str | None, typer.Option(help="As edited by hand; its name, such as edits.")] = None,
    clustering: Annotated[str | None, typer.Option(help="Another clustering of the run, by its name.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace files that are there.")] = False,
    json_: AsJson = False,
) -> None:
    """Write results of a run for other programs: maps, masks, spectra, signals of HyperSpy."""
    wanted = {"output": output, "labels": labels, "masks": masks, "spectra": spectra}
    if not any(wanted.values()):
        found, remedy = "nothing to write", "give one or more of them"
        raise ParameterError(found, "--output, --labels, --masks or --spectra", remedy)
    if as_ is not None and (labels is None) == (spectra is None):
        raise ParameterError(f"--as {as_}", "it beside one of --labels and --spectra", "write one after the other")
    if like is not None and labels is None and masks is None:
        raise ParameterError(f"--like {like}", "it beside --labels or --masks", "leave it out")
    run = _run_of(store, clustering, edits)
    written: list[Path] = []
    if output is not None:
        written.append(_one(run, output, variable, overwrite=overwrite))
    if labels is not None:
        from refold.phases import export_labels

        written.append(export_labels(run, labels, format=as_, like=like, overwrite=overwrite))  # type: ignore[arg-type]
    if masks is not None:
        from refold.phases import export_masks

        written += export_masks(run, masks, like=like, overwrite=overwrite)
    if spectra is not None:
        from refold.phases import export_spectra

        statistic = "sum" if sums else "mean"
        written += export_spectra(run, spectra, format=as_, statistic=statistic, overwrite=overwrite)  # type: ignore[arg-type]
    _say(store, variable if output is not None else None, written, as_json=json_)


def _run_of(store: Path, clustering: str | None, edits: str | None) -> Any:
    from refold.store import open_run

    if edits is not None:
        from refold.editing import edits as edits_of

        found = edits_of(store, clustering=clustering, name=edits)
        if not found.revision:
            said, remedy = f"no edits {edits!r} saved of {store}", "check the name, or leave it out"
            raise ParameterError(said, "the name of saved ones", remedy)
        return found.apply()
    return open_run(store) if clustering is None else open_run(store, clustering=clustering)


def _one(run: Any, output: Path, variable: str, *, overwrite: bool) -> Path:
    if output.suffix.lower() in _SIGNALS:
        from refold.exchange import save_signal

        return save_signal(run, output, overwrite=overwrite)
    from refold.origin import refuse_own
    from refold.report import to_geotiff

    refuse_own(run, output)
    return to_geotiff(run, output, variable, overwrite=overwrite)


def _say(store: Path, variable: str | None, written: list[Path], *, as_json: bool) -> None:
    files = [str(path) for path in written]
    if as_json:
        one = {"variable": variable, "file": files[0]} if variable is not None else {}
        print_json({"store": str(store), **one, "files": files})
        return
    for name in files:
        out.print(f"file  {name}", soft_wrap=True)
