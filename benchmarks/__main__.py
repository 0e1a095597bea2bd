"""Run the benchmarks: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from benchmarks.scans import Setup
from benchmarks.tables import write_page

GROUPS = (
    *("reading", "raw_pass", "forms", "spectra", "kernels", "pca", "kmeans"),
    *("embedding", "clustering", "forecast", "whole_run", "explore"),
)
QUICK_SECONDS = 130.0  # no group begins after this many with --quick: three minutes are promised
REDUCED = "**In reduced size, for a look and not for a comparison:** times here are mostly those of starting up."


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Refold against the limits of this machine and against its peers, in alternation. Prints ratios.",
    )
    parser.add_argument("--only", action="append", choices=GROUPS, metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--quick", action="store_true", help="all groups, small, within 3 minutes")
    parser.add_argument("--large", action="store_true", help="also what takes tens of gigabytes or of minutes")
    parser.add_argument("--rounds", type=int, help="of each group: 5, or 2 with --quick")
    parser.add_argument("--slow-rounds", type=int, help="of contenders that take minutes; as many as the others")
    parser.add_argument("--folder", type=Path, help="where phantoms are made, and found again; a temporary one")
    parser.add_argument("--write", action="store_true", help="write the pages of docs/performance")
    return parser.parse_args(arguments)


def main() -> None:
    options = parsed()
    rounds = options.rounds or (2 if options.quick else 5)
    slow = options.slow_rounds or (1 if options.quick else rounds)
    with tempfile.TemporaryDirectory(prefix="refold-benchmarks-") as folder:
        setup = Setup((options.folder or Path(folder)).resolve(), rounds, slow, options.quick, options.large)
        start = time.perf_counter()
        for name in options.only or GROUPS:
            began, module = time.perf_counter(), import_module(f"benchmarks.{name}")
            if setup.quick and began - start > QUICK_SECONDS:
                print(f"# {name}\n\nNot run: the three minutes are nearly over.\n", flush=True)
                continue
            print(f"# {name}\n", flush=True)
            tables = []
            for table in module.run(setup):
                print(f"{table}\n", flush=True)
                tables.append(table)
            if options.write:
                print(
                    f"written: {write_page(name, about(setup, module.__doc__), tables, how(setup, name)).name}",
                    file=sys.stderr,
                )
            print(f"  {name}: {time.perf_counter() - began:.0f} s in all", file=sys.stderr, flush=True)


def how(setup: Setup, name: str) -> str:
    """With which command, in words that stand on the page."""
    flags = "".join(f" --{flag}" for flag in ("quick", "large") if getattr(setup, flag))
    rounds = f"medians of {setup.rounds} rounds" + (
        f" ({setup.slow_rounds} for what takes minutes)" if setup.slow_rounds != setup.rounds else ""
    )
    return f"`python -m benchmarks --only {name}{flags} --write`, {rounds}, contenders in alternation."


def about(setup: Setup, text: str) -> str:
    """What a page says first: of a small case, that it is one."""
    title, _, rest = text.strip().partition("\n")
    return f"{title}\n\n{REDUCED}\n{rest}" if setup.quick else text


if __name__ == "__main__":
    main()
