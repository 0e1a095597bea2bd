"""Commands about clusterings: made, listed, forgotten, counted, repeated, compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from refold.cli.options import AsJson, Memory, Workers, parameter
from refold.cli.printing import out, print_json, print_table, short

Store = Annotated[Path, typer.Argument(help="A run's store.")]


def cluster(
    store: Store,
    name: Annotated[str, typer.Option("--name", help="What the clustering is kept as.")],
    method: Annotated[
        str, typer.Option(help="gaussian_mixture, hdbscan, kmeans or agglomerative.")
    ] = "gaussian_mixture",
    n_clusters: Annotated[int | None, typer.Option(help="How many; HDBSCAN finds their number itself.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other option of the method, as in covariance_type=tied; may be repeated."),
    ] = None,
    scan: Annotated[
        str | None, typer.Option(help="What the run was made of, for mean signals, where the run keeps no features.")
    ] = None,
    neighbours: Annotated[int | None, typer.Option(help="Landmarks that vote on a pixel.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a clustering of that name.")] = False,
    memory: Memory = None,
    workers: Workers = None,
    json_: AsJson = False,
) -> None:
    """Cluster the latent space of a run once more, and keep the clustering with it beside its own."""
    from refold.reclustering import clusterings as found_in
    from refold.reclustering import recluster

    options = dict(map(parameter, set_ or []))
    given: dict[str, Any] = {"scan": scan, "neighbours": neighbours, "memory": memory, "workers": workers}
    recluster(store, name, method, n_clusters, overwrite=overwrite, **given, **options)
    found = found_in(store)[name]
    if json_:
        print_json({"store": str(store), **found.as_dict()})
        return
    out.print(f"{found.clusters} clusters, {found.noise:.1%} noise", highlight=False)
    out.print(f"see it  refold report {store} --clustering {name}", soft_wrap=True, highlight=False)


def clusterings(store: Store, json_: AsJson = False) -> None:
    """List the clusterings of a run: its own, and those that were added."""
    from refold.reclustering import clusterings as found_in

    found = {name: clustering.as_dict() for name, clustering in found_in(store).items()}
    if json_:
        print_json(found)
        return
    table = Table("name", "method", "clusters", "noise", "options")
    for name, said in found.items():
        table.add_row(name, said["method"], str(said["clusters"]), f"{said['noise']:.1%}", short(said["options"]))
    print_table(table)


def forget_clustering(
    store: Store,
    name: Annotated[str, typer.Argument(help="Of a clustering; see refold clusterings.")],
    json_: AsJson = False,
) -> None:
    """Remove a clustering that was added to a run."""
    from refold.reclustering import forget_clustering as forget

    forget(store, name)
    found = {"store": str(store), "forgotten": name}
    print_json(found) if json_ else out.print(f"{name} is forgotten", highlight=False, markup=False)


def estimate_clusters(
    store: Store,
    fewest: Annotated[int, typer.Option("--from", help="Fewest clusters to try.")] = 2,
    most: Annotated[int, typer.Option("--to", help="Most clusters to try.")] = 15,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to draw the curves (PNG, PDF, SVG).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sample and of the references.")] = 0,
    json_: AsJson = False,
) -> None:
    """Say how many clusters the scores of a run have: by elbow, silhouette and gap statistic."""
    from refold.cluster import estimate_clusters as estimate
    from refold.trust import FinishedRun

    found = estimate(FinishedRun(store).scores, range(fewest, most + 1), random_state=seed)
    if output is not None:
        from refold.report.figures import metric_curves

        metric_curves(found.curves).savefig(output, dpi=150)
    if json_:
        print_json({**found.as_dict(), "figure": str(output) if output else None})
        return
    for method, number in found.suggested.items():
        out.print(f"{method:>12}  {number}", highlight=False)
    out.print(f"{found.k} clusters, by the middle one of these")
    if output is not None:
        out.print(f"figure  {output}", soft_wrap=True)


def compare(
    first: Annotated[Path, typer.Argument(help="A run's store.")],
    second: Annotated[Path, typer.Argument(help="Another run of the same scan; or the same.")],
    clustering: Annotated[
        str | None, typer.Option(help="Of the second run a clustering that was added; see refold clusterings.")
    ] = None,
    memory: Memory = None,
    workers: Workers = None,
    json_: AsJson = False,
) -> None:
    """Say what two runs share: agreement, which cluster is which, how many pixels differ, what was done otherwise."""
    from refold.store import open_run
    from refold.trust import compare as compare_runs

    found = compare_runs(first, open_run(second, clustering), memory=memory, workers=workers)
    print_json(found.as_dict()) if json_ else out.print(str(found), markup=False, highlight=False, soft_wrap=True)


def stability(
    store: Store,
    repeats: Annotated[int, typer.Option(help="How often landmarks, embedding and clusters are found anew.")] = 10,
    dose: Annotated[float | None, typer.Option(help="Share of the counts that each repeat is given.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the repeats.")] = 0,
    memory: Memory = None,
    workers: Workers = None,
    json_: AsJson = False,
) -> None:
    """Repeat a run with other seeds and landmarks; keep with it how many repeats agree on each pixel."""
    from refold.trust import stability as find_stability

    found = find_stability(store, repeats, dose=dose, random_state=seed, memory=memory, workers=workers)
    print_json(found.as_dict()) if json_ else out.print(str(found), markup=False, highlight=False, soft_wrap=True)
