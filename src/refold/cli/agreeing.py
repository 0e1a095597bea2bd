"""Commands that ask how far a clustering can be trusted: `refold compare A B`, `refold stability RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refold.cli.options import AsJson, Memory, Workers
from refold.cli.printing import out, print_json


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
