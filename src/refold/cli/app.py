"""The command line itself, and how it says errors."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import typer

from refold.cli.printing import err
from refold.errors import RefoldError

app = typer.Typer(
    help="Segment scans larger than memory: every probe position gets its label.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
