"""What a run says in words and tables: the page's text, free of any figure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import PurePosixPath
from typing import Any

import xarray as xr

from refold.report.calibration import Axis, area
from refold.report.tally import Tally, labels_of
from refold.report.words import count, duration, percent, plural, size

__all__ = ["BalanceRow", "ClusterRow", "Facts", "ForecastRow", "StageRow"]

_SPEAKING = {
    "sweeps": ("Sweeps", count),
    "tasks": ("Tasks", count),
    "chunks_read": ("Chunks read", count),
    "bytes_read": ("Bytes read", size),
    "bytes_written": ("Bytes before compression", size),
    "peak_memory": ("Peak memory", size),
    "seconds": ("Time", duration),
}
_NAMES = ("title", "name", "path", "uri", "url", "file", "location")


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """One line of the table of sizes."""

    name: str
    colour: str
    pixels: str
    share: str
    bar: float
    area: str
    probability: str
    called: str = ""


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """A number that was forecast, and what it came to."""

    name: str
    forecast: str
    measured: str
    ratio: str


@dataclass(frozen=True, slots=True)
class StageRow:
    """What one stage cost, and was said to cost."""

    name: str
    seconds: str
    seconds_forecast: str
    peak_memory: str
    peak_memory_forecast: str
    bytes_read: str
    chunks_read: str
    reused: bool


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """How much one cube of several counts in what was learnt from."""

    cube: str
    features: str
    weight: str
    maximum: str
    share: str
    final_share: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the page says.

    Attributes
    ----------
    title, summary : str
        The scan's name, and one or two sentences.
    highlights : list of tuple of str
        Few numbers to see first: value and what it is.
    clusters, forecast, stages, balance : list
        Rows of the tables.
    recipe : str
        TOML text; empty if the run has none.
    provenance : list of tuple of str
        Names and values: where the scan came from, and what computed the run.
    """

    title: str
    summary: str
    highlights: list[tuple[str, str]]
    clusters: list[ClusterRow]
    forecast: list[ForecastRow]
    stages: list[StageRow]
    balance: list[BalanceRow]
    recipe: str
    provenance: list[tuple[str, str]]

    @classmethod
    def of(cls, dataset: xr.Dataset, tally: Tally, measured: Mapping[str, Any] | None = None) -> Facts:
        """Gather what is known of a run.

        Parameters
        ----------
        dataset : xarray.Dataset
            With attrs `recipe` (TOML) and `source`, `stages`, `plan`, `versions` (JSON, or mappings); each may be
            missing.
        tally : Tally
        measured : mapping, optional
            Totals under the names of the plan; they go before those of the attr `measured` (JSON), and those before
            the sums over the stages.
        """
        source = _mapping(dataset.attrs.get("source"))
        stages = {name: _mapping(stage) for name, stage in _mapping(dataset.attrs.get("stages")).items()}
        plan = _mapping(dataset.attrs.get("plan"))
        forecasts = _mapping(plan.get("stages"))
        known = _mapping(dataset.attrs.get("measured")) | dict(measured or {})
        totals: dict[str, Any] = _totals(stages) | {key: value for key, value in known.items() if value is not None}
        return cls(
            title=_title(source)
            + (f", clustering {dataset.attrs['clustering']}" if "clustering" in dataset.attrs else ""),
            summary=_summary(dataset, tally, totals),
            highlights=_highlights(tally, totals),
            clusters=_clusters(dataset, tally),
            forecast=_forecast(plan, totals),
            stages=[_stage(name, stage, _mapping(forecasts.get(name))) for name, stage in stages.items()],
            balance=_balance(_mapping(stages.get("fuse"))),
            recipe=_without_secrets(str(dataset.attrs.get("recipe", "")).strip()),
            provenance=_provenance(source, _mapping(dataset.attrs.get("versions"))),
        )


def _mapping(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {str(k): v for k, v in value.items()}
    if not isinstance(value, str) or not value.strip():
        return {}
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError:
        return {"text": value}
    return {str(k): v for k, v in parsed.items()} if isinstance(parsed, dict) else {"text": value}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _totals(stages: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Sum over the stages that this run computed; memory is the largest."""
    computed = [stage for stage in stages.values() if not stage.get("reused")]
    totals: dict[str, float] = {}
    for key in _SPEAKING:
        values = [v for v in (_number(stage.get(key)) for stage in computed) if v is not None]
        if values:
            totals[key] = max(values) if key == "peak_memory" else sum(values)
    return totals


def _title(source: Mapping[str, Any]) -> str:
    for key in _NAMES:
        if isinstance(source.get(key), str) and source[key].strip():
            text = _without_secrets(source[key].strip())
            return PurePosixPath(text.replace("\\", "/")).name or text
    return "A scan"


def _without_secrets(text: str) -> str:
    """Take user names, passwords and signed queries out of addresses."""
    text = re.sub(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^/@\s\"']+@", r"\1", text)
    return re.sub(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'?]*)\?[^\s\"']*", r"\1", text)


def _summary(dataset: xr.Dataset, tally: Tally, totals: Mapping[str, Any]) -> str:
    shape = " × ".join(count(n) for n in labels_of(dataset).sizes.values())
    pixels = plural(tally.pixels, "pixel") + (f" ({shape})" if labels_of(dataset).ndim > 1 else "")
    verb = "falls" if tally.pixels == 1 else "fall"
    if not tally.usable:
        text = f"None of {pixels} could be used."
    elif tally.ids:
        text = f"{pixels} {verb} into {plural(len(tally.ids), 'cluster')}; "
        text += f"{percent(tally.noise_share)} are noise." if tally.noise else "none is noise."
    else:
        text = f"{pixels} {verb} into no cluster: all are noise."
    if tally.invalid and tally.usable:
        text += f" {plural(tally.invalid, 'pixel')} could not be used."
    seconds, memory = _number(totals.get("seconds")), _number(totals.get("peak_memory"))
    costs = [f"took {duration(seconds)}"] if seconds is not None else []
    costs += [f"needed at most {size(memory)} of memory"] if memory is not None else []
    return text + (f" The run {' and '.join(costs)}." if costs else "")


def _highlights(tally: Tally, totals: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [
        (count(tally.pixels), "pixels"),
        (count(len(tally.ids)), "cluster" if len(tally.ids) == 1 else "clusters"),
        (percent(tally.noise_share), "noise"),
    ]
    for key, label in (("seconds", "time"), ("peak_memory", "peak memory"), ("bytes_read", "read")):
        value = _number(totals.get(key))
        if value is not None:
            found.append((_SPEAKING[key][1](value), label))
    return found


def _clusters(dataset: xr.Dataset, tally: Tally) -> list[ClusterRow]:
    labels = labels_of(dataset)
    axes = [Axis.of(labels, str(d)) for d in labels.dims]
    largest = max([*tally.sizes, tally.noise, 1])
    return [
        ClusterRow(
            name=str(number),
            colour=tally.colours[i],
            pixels=count(tally.sizes[i]),
            share=percent(tally.share(i)),
            bar=tally.sizes[i] / largest,
            area=area(axes, tally.sizes[i]),
            probability=f"{tally.confidence[i]:.2f}" if isfinite(tally.confidence[i]) else "–",
            called=tally.name(i),
        )
        for i, number in enumerate(tally.ids)
    ]


def _forecast(plan: Mapping[str, Any], totals: Mapping[str, Any]) -> list[ForecastRow]:
    rows = []
    for key, (name, say) in _SPEAKING.items():
        forecast, measured = _number(plan.get(key)), _number(totals.get(key))
        if forecast is None and measured is None:
            continue
        ratio = f"{measured / forecast:.2f}" if forecast and measured is not None else "–"
        rows.append(ForecastRow(name, _say(say, forecast), _say(say, measured), ratio))
    return rows


def _say(say: Any, value: float | None) -> str:
    return "–" if value is None else str(say(value))


def _stage(name: str, stage: Mapping[str, Any], forecast: Mapping[str, Any]) -> StageRow:
    said = {
        key: _say(_SPEAKING[key][1], _number(stage.get(key)))
        for key in ("seconds", "peak_memory", "bytes_read", "chunks_read")
    }
    said |= {
        f"{key}_forecast": _say(_SPEAKING[key][1], _number(forecast.get(key))) for key in ("seconds", "peak_memory")
    }
    return StageRow(name=name, reused=bool(stage.get("reused")), **said)


def _balance(fuse: Mapping[str, Any]) -> list[BalanceRow]:
    """How the cubes of a run were balanced; nothing of a run of one."""
    reached = _mapping(_mapping(fuse.get("notes")).get("balance"))
    return [
        BalanceRow(
            cube,
            count(int(row["features"])),
            f"{row['weight']:.3g}",
            f"{row['maximum']:.3g}",
            percent(row["share"]),
            percent(row["final_share"]),
        )
        for cube, row in reached.items()
        if len(reached) > 1
    ]


def _provenance(source: Mapping[str, Any], versions: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = _flatten(source) + [
        (f"version of {name}" if name != "text" else "versions", v) for name, v in _flatten(versions)
    ]
    return [(name, _without_secrets(value)) for name, value in rows]


def _written(key: str, value: object) -> str:
    number = _number(value)
    if number is not None and key == "bytes":
        return size(number)
    if number is not None and key == "modified":  # nanoseconds since 1970, as stat gives them
        return datetime.fromtimestamp(number / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return str(value)


def _flatten(mapping: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            rows += _flatten({str(k): v for k, v in value.items()}, f"{prefix}{key} ")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            rows.append((f"{prefix}{key}", ", ".join(str(v) for v in value)))
        elif value is not None:
            rows.append((f"{prefix}{key}", _written(key, value)))
    return rows
