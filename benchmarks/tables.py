"""Tables of results, and the pages that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import described
from benchmarks.measure import ROOT, Runs

PAGES = ROOT / "docs" / "performance"
Column = tuple[str, Callable[[Runs], str]]  # its head, and what it says of a contender


@dataclass(frozen=True)
class Table:
    """Rows below a head, with a title above and a note below."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def __str__(self) -> str:
        lines = [_line(self.head), "|" + "|".join(["---", *["---:"] * (len(self.head) - 1)]) + "|"]
        text = "\n".join([f"## {self.title}", "", *lines, *map(_line, self.rows)])
        return f"{text}\n\n{self.note}" if self.note else text


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def compare(
    title: str,
    found: Mapping[str, Runs],
    *,
    base: str,
    head: str = "times as long",
    columns: Sequence[Column] = (),
    note: str = "",
) -> Table:
    """A row for each contender: median seconds, their range, how many times those of the base, and further columns."""
    names = ["contender", head, "seconds", "range", *(name for name, _ in columns)]
    rows = []
    for runs in found.values():
        if not runs.samples or runs.missing:
            rows.append([runs.title, runs.missing or "not run", *[""] * (len(names) - 2)])
            continue
        seconds = runs.all("seconds")
        span = f"{short(min(seconds))} – {short(max(seconds))}"
        told = [runs.title, short(runs.ratio(found[base])), short(runs.median()), span]
        rows.append([*told, *(tell(runs) for _, tell in columns)])
    return Table(title, names, rows, note)


def short(value: float | None, digits: int = 3) -> str:
    """A number with three figures; nothing where there is none."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:#.{digits}g}".rstrip(".")


def fact(name: str, scale: float = 1.0, digits: int = 3) -> Callable[[Runs], str]:
    """A column: the median of one fact."""

    def tell(runs: Runs) -> str:
        found = runs.median(name)
        return "" if found is None else short(found / scale, digits)

    return tell


PEAK: Column = ("peak memory, GB", fact("peak", 1e9))


def rate(n_bytes: int) -> Column:
    """A column: bytes of the case a second."""
    return "GB/s", lambda runs: short(n_bytes / 1e9 / (runs.median() or float("inf")))


def write_page(name: str, about: str, tables: Sequence[Table], how: str) -> Path:
    """Write a group's page of the documentation: what it is about, its tables, where and how they were measured."""
    title, _, rest = about.strip().partition("\n")
    body = "\n\n".join(
        [f"# {title.rstrip('.')}", rest.strip(), *map(str, tables), "## Where and how", described(), how]
    )
    PAGES.mkdir(parents=True, exist_ok=True)
    page = PAGES / f"{name}.md"
    page.write_text(body + "\n", encoding="utf-8")
    return page
