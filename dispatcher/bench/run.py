"""`dispatcher bench`: the cases, one after the other, and what came of them as a table and as JSON."""

import json
import os
import platform
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from dispatcher.bench.campaign import Case, Figures, measure

FAR = 0.025  # seconds to the far relay and back


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. `people`: sizes on PostgreSQL, the first is the one that the others are compared with."""

    people: Sequence[int]
    lanes: int
    workers: int
    sqlite: bool
    far: bool


def cases(plan: Plan) -> list[Case]:
    """Give the cases of a plan."""
    some = plan.people[0]
    found = [
        Case(
            "PostgreSQL",
            "postgresql",
            count,
            plan.lanes,
            plan.workers,
            beside_source=True,
            with_signing=count == some,
        )
        for count in plan.people
    ]
    if plan.sqlite:
        found.append(Case("SQLite", "sqlite", some, plan.lanes, 1))
    if plan.far:
        found.append(Case("relay 25 ms away", "postgresql", min(some, 50_000), 64, 1, FAR))
    return found


def run(plan: Plan, out: Console, write_to: Path | None) -> list[Figures]:
    """Measure, show, write."""
    out.print(f"[bold]dispatcher bench[/]  {_machine()}")
    figures = []
    for case in cases(plan):
        figures.append(_measure(case, out))
        out.print(_line(figures[-1]))
    out.print(_table(figures))
    for signing in (cost for one in figures for cost in one.signing):
        out.print(
            f"DKIM, {signing.algorithm}: {signing.signature_us:.0f} µs for the signature, "
            f"{signing.besides_us:.0f} µs besides"
        )
    if write_to is not None:
        content = {"machine": _machine(), "figures": [{**asdict(one), "ratio": one.ratio} for one in figures]}
        write_to.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        out.print(f"written to {write_to}")
    return figures


def _measure(case: Case, out: Console) -> Figures:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=out, transient=True) as bar:
        work = bar.add_task(case.name, total=1.0)

        def tell(what: str, share: float | None) -> None:
            words = f"{case.name}, {case.people:,} people: {what}"
            bar.update(work, description=words, completed=share or 0.0)

        return measure(case, tell)


def _line(one: Figures) -> str:
    ratio = f", {one.ratio:.2f} of smtp-source's {one.source_rate:,.0f}" if one.ratio else ""
    return f"{one.name}, {one.people:,} people: {one.rate:,.0f} letters a second{ratio}"


def _table(figures: Sequence[Figures]) -> Table:
    """A column a case, a row a figure."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("")
    for one in figures:
        table.add_column(one.name, justify="right")
    for name, form in _ROWS:
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
    ("CPU a letter: workers, µs", lambda one: f"{one.worker_us:.0f}"),
    ("CPU a letter: database, µs", lambda one: f"{one.database_us:.0f}" if one.database_us is not None else "–"),
    ("CPU a letter: sink, µs", lambda one: f"{one.sink_us:.0f}"),
    ("largest worker process, MB", lambda one: f"{one.worker_mb:.0f}"),
    ("launch, s", lambda one: f"{one.launch_s:.2f}"),
    ("first letter out after, s", lambda one: f"{one.first_out_s:.2f}"),
]


def _machine() -> str:
    asked = str(sysconfig.get_config_var("CONFIG_ARGS"))
    build = "built with --enable-optimizations" if "--enable-optimizations" in asked else "plain or unknown build"
    python = f"Python {platform.python_version()} ({build})"
    return f"{os.cpu_count()} cores, {platform.machine()}, {python}, {sys.platform}"
