"""`dispatcher bench`: the cases, one after the other, and what came of them as a table and as JSON."""

import json
import os
import platform
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from dispatcher.bench import bulk, pages
from dispatcher.bench.bulk import BulkFigures
from dispatcher.bench.campaign import Case, Figures, measure
from dispatcher.bench.pages import PageFigures, Tell
from dispatcher.bench.signing import bare_signature_us
from dispatcher.sending import drain

N = TypeVar("N", Figures, PageFigures, BulkFigures)
F = TypeVar("F")
FAR = 0.025  # seconds to the far relay and back


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. `people`: sizes of campaigns on PostgreSQL, the first is the one that the others are compared
    with; none: no campaigns. `rows` of a file to import, `events` to append to the ledger; 0: neither.
    """

    people: Sequence[int]
    lanes: int
    workers: int
    sqlite: bool
    far: bool
    pages: bool
    rows: int = 0
    events: int = 0


def cases(plan: Plan) -> list[Case]:
    """Give the campaigns of a plan."""
    if not plan.people:
        return []
    some = plan.people[0]
    found = [
        Case(
            "PostgreSQL", "postgresql", count, plan.lanes, plan.workers, beside_source=True, with_signing=count == some
        )
        for count in plan.people
    ]
    if plan.sqlite:
        found.append(Case("SQLite", "sqlite", some, plan.lanes, 1))
    if plan.far:
        found.append(Case("relay 25 ms away", "postgresql", min(some, 50_000), 64, 1, FAR))
    return found


def run(plan: Plan, out: Console, write_to: Path | None) -> None:
    """Measure, show, write."""
    machine = _machine()
    out.print(f"[bold]dispatcher bench[/]  {machine}")
    taken_in = _bulk(plan, out)
    if taken_in:
        out.print(_table(taken_in, _BULK_ROWS))
    visited = _with_bar(out, "pages", pages.measure) if plan.pages else []
    if visited:
        out.print(_table(visited, _PAGE_ROWS))
    figures = []
    for case in cases(plan):
        figures.append(_with_bar(out, f"{case.name}, {case.people:,} people", partial(measure, case)))
        out.print(_line(figures[-1]))
    if figures:
        out.print(_table(figures, _ROWS))
    for signing in (cost for one in figures for cost in one.signing):
        out.print(
            f"DKIM, {signing.algorithm}: {signing.signature_us:.0f} µs for the signature, "
            f"{signing.besides_us:.1f} µs besides (medians; a quarter of the differences below "
            f"{signing.besides_quarter_us:.1f})"
        )
    if write_to is not None:
        told = {
            "machine": machine,
            "figures": [{**asdict(one), "ratio": one.ratio, "of_the_line": one.of_the_line} for one in figures],
            "pages": [asdict(one) for one in visited],
            "bulk": [asdict(one) for one in taken_in],
        }
        write_to.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        out.print(f"written to {write_to}")


def _bulk(plan: Plan, out: Console) -> list[BulkFigures]:
    found = []
    for database in ("postgresql", "sqlite") if plan.sqlite else ("postgresql",):
        for count, measured in ((plan.rows, bulk.measure_import), (plan.events, bulk.measure_append)):
            if count:
                found.append(_with_bar(out, f"{count:,} in bulk, {database}", partial(measured, database, count)))
    return found


def _with_bar(out: Console, name: str, work: Callable[[Tell], F]) -> F:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=out, transient=True) as bar:
        task = bar.add_task(name, total=1.0)

        def tell(what: str, share: float | None) -> None:
            bar.update(task, description=f"{name}: {what}", completed=share or 0.0)

        return work(tell)


def _line(one: Figures) -> str:
    ratio = f", {one.ratio:.2f} of smtp-source's {one.source_rate:,.0f}" if one.ratio else ""
    return f"{one.name}, {one.people:,} people: {one.rate:,.0f} letters a second{ratio}"


def _table(figures: Sequence[N], rows: Sequence[tuple[str, Callable[[N], str]]]) -> Table:
    """A column a case, a row a figure."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("")
    for one in figures:
        table.add_column(one.name, justify="right")
    for name, form in rows:
        table.add_row(name, *(form(one) for one in figures))
    return table


_ROWS: list[tuple[str, Callable[[Figures], str]]] = [
    ("people", lambda one: f"{one.people:,}"),
    ("sent", lambda one: f"{one.sent:,}"),
    ("withheld at the launch or the gate", lambda one: f"{one.withheld:,}"),
    ("sending processes x lanes", lambda one: f"{one.workers} x {one.lanes}"),
    ("letters a second, launch included", lambda one: f"{one.rate:,.0f}"),
    ("smtp-source, messages a second", lambda one: f"{one.source_rate:,.0f}" if one.source_rate else "–"),
    ("ratio", lambda one: f"{one.ratio:.2f}" if one.ratio else "–"),
    ("a relay far away: there and back, ms", lambda one: f"{one.held_s * 1000:.1f}" if one.held_s else "–"),
    ("of lanes / there and back", lambda one: f"{one.of_the_line:.0%}" if one.of_the_line else "–"),
    ("CPU a letter: workers, µs", lambda one: f"{one.worker_us:.0f}"),
    ("CPU a letter: database, µs", lambda one: f"{one.database_us:.0f}" if one.database_us is not None else "–"),
    ("CPU a letter: sink, µs", lambda one: f"{one.sink_us:.0f}"),
    ("largest sending process, MB", lambda one: f"{one.sender_mb:.0f}"),
    ("largest process of the worker, MB", lambda one: f"{one.largest_mb:.0f}"),
    ("launch, s", lambda one: f"{one.launch_s:.2f}"),
    ("first letter out after, s", lambda one: f"{one.first_out_s:.2f}"),
]

_PAGE_ROWS: list[tuple[str, Callable[[PageFigures], str]]] = [
    ("requests", lambda one: f"{one.requests:,}"),
    ("visitors at once", lambda one: f"{one.visitors}"),
    ("requests a second", lambda one: f"{one.rate:,.0f}"),
    ("answered after, median, ms", lambda one: f"{one.p50_ms:.1f}"),
    ("99 of 100 answered after, ms", lambda one: f"{one.p99_ms:.1f}"),
    ("CPU a request: pages, µs", lambda one: f"{one.web_us:,.0f}"),
    ("CPU a request: database, µs", lambda one: f"{one.database_us:,.0f}"),
    ("CPU a request: broker, µs", lambda one: f"{one.broker_us:,.0f}"),
    ("process of the pages, MB", lambda one: f"{one.web_mb:.0f}"),
]

_BULK_ROWS: list[tuple[str, Callable[[BulkFigures], str]]] = [
    ("rows", lambda one: f"{one.rows:,}"),
    ("seconds", lambda one: f"{one.rows / one.rate:.1f}"),
    ("rows a second", lambda one: f"{one.rate:,.0f}"),
    ("CPU a row: who judges and writes, µs", lambda one: f"{one.own_us:.0f}"),
    ("CPU a row: who reads the file, µs", lambda one: f"{one.reader_us:.0f}" if one.reader_us else "–"),
    ("CPU a row: database, µs", lambda one: f"{one.database_us:.0f}" if one.database_us is not None else "–"),
    ("memory without the database's, MB", lambda one: f"{one.peak_mb:.0f}"),
]


def _machine() -> str:
    asked = str(sysconfig.get_config_var("CONFIG_ARGS"))
    build = "built with --enable-optimizations" if "--enable-optimizations" in asked else "plain or unknown build"
    python = f"Python {platform.python_version()} ({build})"
    cores = f"{os.cpu_count()} cores, {platform.machine()}, an RSA-2048 signature in {bare_signature_us():.0f} µs"
    modules = "interpreted" if Path(str(drain.__file__)).suffix == ".py" else "compiled"
    return f"{cores}, {python}, hot modules {modules}, {sys.platform}"
