"""Torture on a terminal: a row for each campaign as it ends, a bar with the time to go, and a table at the end."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.torture.checker import Kind
from tests.torture.scenes import Result, Totals

_WIDTHS = (10, 46, 5, 5, 7, 8, 6, 12, 4)
_HEAD = ("database", "campaign", "kills", "stops", "letters", "accepted", "copies", "unknown", "late")


class Show:
    """What is seen while it runs."""

    def __init__(self, console: Console, size: int) -> None:
        self._console = console
        columns = (
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("to go"),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task("", total=size)

    def __enter__(self) -> Self:
        self._progress.start()
        self._line("bold", _HEAD)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, steps: int) -> None:
        self._progress.advance(self._task, steps)

    def say(self, what: str) -> None:
        """Say what is under way."""
        self._progress.update(self._task, description=escape(what))

    def row(self, database: str, r: Result) -> None:
        """Show what came of a campaign, and everything that is wrong with it."""
        unknown = f"{r.unknown} of {r.bound}"
        cells = (database, r.title, r.kills, r.stops, r.letters, r.accepted, r.copies, unknown, r.late)
        self._line("red" if r.findings else "", cells)
        for finding in r.findings[:10]:
            self._progress.console.print(f"[red]  {finding.kind}: {escape(finding.who)} {escape(finding.what)}[/]")
        if len(r.findings) > 10:
            self._progress.console.print(f"[red]  and {len(r.findings) - 10} more[/]")

    def skip(self, database: str, name: str, why: str) -> None:
        self._progress.console.print(f"[yellow]{database:10} {escape(name)}: left out, {escape(why)}[/]")

    def points(self, last: str) -> None:
        self._progress.console.print(f"crash points: {escape(last.strip('= '))}")

    def close(self, totals: dict[str, Totals]) -> bool:
        """Show the sums; say whether everything that must be zero is."""
        for database, sums in totals.items():
            self._console.print(_table(database, sums))
        is_good = not any(sums.findings for sums in totals.values())
        self._console.print("[green]nothing is wrong[/]" if is_good else "[bold red]something is wrong[/]")
        return is_good

    def _line(self, style: str, cells: tuple[object, ...]) -> None:
        words = [str(cell) for cell in cells]
        text = "  ".join(
            word.ljust(width) if place < 2 else word.rjust(width)
            for place, (word, width) in enumerate(zip(words, _WIDTHS, strict=True))
        )
        self._progress.console.print(f"[{style}]{escape(text)}[/]" if style else escape(text))


def _table(database: str, sums: Totals) -> Table:
    table = Table(title=database, title_justify="left", show_header=False, box=None)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("kills", f"{sums.kills:,}", "kill -9 of processes that were at work")
    table.add_row("stops", f"{sums.stops:,}", "SIGSTOP, some for longer than the lease")
    table.add_row("campaigns", f"{sums.campaigns:,}")
    table.add_row("letters", f"{sums.letters:,}", "people who could be written to")
    table.add_row("accepted by the server", f"{sums.accepted:,}")
    table.add_row("copies under resend", f"{sums.copies:,}", "the same Message-ID on each")
    table.add_row("unknown", f"{sums.unknown:,}", f"at most {sums.bound:,} may be")
    table.add_row("accepted after a withdrawal", f"{sums.late:,}", "whose dot was out when it was committed")
    table.add_row("[bold]must be zero[/]")
    for kind in Kind:
        count = sums.kinds[kind.value]
        table.add_row(f"  {kind.value}", f"[{'bold red' if count else 'green'}]{count:,}[/]")
    return table
