"""Numbers as people say them."""

from __future__ import annotations

from math import floor, isfinite, log10

__all__ = ["count", "duration", "percent", "plural", "rounded", "size"]


def percent(share: float) -> str:
    """Write a share with two figures that count.

    Examples
    --------
    >>> percent(0.1234), percent(0.00056), percent(1.0), percent(0.0), percent(2e-7)
    ('12.3 %', '0.056 %', '100 %', '0 %', '< 0.001 %')
    """
    value = share * 100
    if not isfinite(value):
        return "–"
    if value == 0:
        return "0 %"
    if value < 0.001:
        return "< 0.001 %"
    if share == 1:
        return "100 %"
    return f"{value:.{1 if value >= 1 else 1 - floor(log10(value))}f} %"


def count(number: float) -> str:
    """Write a whole number with thin groups of three.

    Examples
    --------
    >>> count(1234567)
    '1,234,567'
    """
    return f"{round(number):,}"


def plural(number: int, noun: str) -> str:
    """Write a count and its noun.

    Examples
    --------
    >>> plural(1, "cluster"), plural(0, "cluster"), plural(3, "cluster")
    ('1 cluster', 'no clusters', '3 clusters')
    """
    return f"{'no' if number == 0 else count(number)} {noun}{'' if number == 1 else 's'}"


def size(n_bytes: float) -> str:
    """Write a number of bytes, in powers of a thousand as disks and memory sticks do.

    Examples
    --------
    >>> size(999), size(1_500_000), size(2.5e12)
    ('999 B', '1.50 MB', '2.50 TB')
    """
    value = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 999.5:
            return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:#.3g} {unit}"
        value /= 1000
    return f"{value:.4g} PB"


def duration(seconds: float) -> str:
    """Write a time.

    Examples
    --------
    >>> duration(0.0123), duration(7.25), duration(125), duration(7384)
    ('12 ms', '7.2 s', '2 min 5 s', '2 h 3 min')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60} min"


def rounded(value: float) -> str:
    """Write a measured number with three figures that count.

    Examples
    --------
    >>> rounded(0.0), rounded(0.123456), rounded(1234.5), rounded(1.2e-7)
    ('0', '0.123', '1,234', '1.2e-07')
    """
    if not isfinite(value):
        return "–"
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
