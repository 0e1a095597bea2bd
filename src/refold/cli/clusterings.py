"""Commands about clusterings: `refold estimate-clusters RUN`, `refold stability RUN`, `refold compare A B`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refold.cli.options import AsJson, Memory, Workers
from refold.cli.printing import out, print_json


def estimate_clusters(
    store: Annotated[Path, typer.Argument(help="A run's store.")],
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
    second: Annotated[Path, typer.Argument(help="Another run of the same scan.")],
    memory: Memory = None,
    workers: Workers = None,
    json_: AsJson = False,
) -> None:
    """Say what two runs share: agreement, which cluster is which, how many pixels differ, what was done otherwise."""
    from refold.trust import compare as compare_runs

    found = compare_runs(first, second, memory=memory, workers=workers)
    print_json(found.as_dict()) if json_ else out.print(str(found), markup=False, highlight=False, soft_wrap=True)


def stability(
    store: Annotated[Path, typer.Argument(help="A run's store.")],
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
