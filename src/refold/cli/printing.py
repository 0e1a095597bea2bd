"""What commands print: for people in tables, for programs as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from refold.planning import format_bytes

out, err = Console(), Console(stderr=True)
_WIDE = 240


def print_json(value: Any) -> None:
    """Print one JSON object, and nothing else."""
    sys.stdout.write(json.dumps(value) + "\n")


def tell(outcome: dict[str, Any]) -> None:
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


def print_table(table: Table) -> None:
    """Print a table; into a file or a pipe wide enough that nothing is cut."""
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def short(value: Any) -> str:
    """Say a value in a cell of a table."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items() if item)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
