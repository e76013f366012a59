"""`dispatcher subscribers list` and `export`: all people, to look at or as a file that can be imported again."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dispatcher.cli.context import Context, err, make_table, out, pass_context
from dispatcher.counting import counted
from dispatcher.db.engine import reading
from dispatcher.db.terms import SubscriptionState, Topic
from dispatcher.domain import exports
from dispatcher.domain.exports import Wanted
from dispatcher.errors import InputRefused

_TOPIC = click.option(
    "--topic",
    "topics",
    multiple=True,
    type=click.Choice([t.value for t in Topic]),
    help="Only this one; may be repeated.",
)
_STATE = click.option("--state", type=click.Choice([s.value for s in SubscriptionState]), help="Only who stands so.")


@click.command("list")
@_TOPIC
@_STATE
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@pass_context
def list_(context: Context, /, topics: tuple[str, ...], state: str | None, limit: int, as_json: bool) -> None:
    """Show people and where they stand with each topic.

    \b
    dispatcher subscribers list --topic finance-news --state pending
    """
    wanted = _wanted(topics, state)
    with reading(context.engine).connect() as conn:
        number, people = exports.count(conn, wanted), exports.page(conn, wanted, 0, limit)
    if as_json:
        for person in people:
            sys.stdout.write(_line(exports.facts(person)))
        return
    table = make_table("address", "name", "", "topics", "never mail")
    for person in people:
        stands = "\n".join(f"{topic} {s.state}" for topic, s in person.topics.items())
        barred = exports.cells(person, wanted)[-1]
        table.add_row(escape(person.address), escape(person.name), person.language, stands, barred)
    out.print(table)
    if number > len(people):
        out.print(f"{number - len(people):,} more; `dispatcher subscribers export -o FILE` writes all of them")


@click.command()
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The file; - for standard output.")
@_TOPIC
@_STATE
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of CSV.")
@pass_context
def export(context: Context, /, output: Path, topics: tuple[str, ...], state: str | None, as_json: bool) -> None:
    """Write all people to a file: state, since, IP address, source and declaration of each topic.

    The CSV can be imported again, here or elsewhere: who has left or may never be mailed comes back as that; whose data
    is restricted (Art. 18 GDPR) is left out. Cells that a spreadsheet program would calculate with begin with an
    apostrophe; the import takes it off.

    \b
    dispatcher subscribers export -o people.csv
    dispatcher subscribers export --topic finance-news --state confirmed -o gold.csv
    """
    wanted = _wanted(topics, state)
    with reading(context.engine).connect() as conn:
        number, restricted = exports.count(conn, wanted), exports.count_restricted(conn)
    with whole_file(output) as file:
        _write(context, wanted, file, number, as_json=as_json)
    err.print(f"{counted(number, 'person', 'people')} written to {escape(str(output))}")
    if restricted:
        err.print(f"left out, for processing is restricted (Art. 18 GDPR): {counted(restricted, 'person', 'people')}")


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Give a file to write people to, for our eyes only; it gets its name when it is whole.

    Raises InputRefused when it cannot be written, and leaves nothing behind then.
    """
    if str(path) == "-":
        yield sys.stdout
        return
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(path)
    except OSError as error:
        cure = "make room, or name another file"
        raise InputRefused(f"{path} cannot be written: {error.strerror}", cure) from None
    finally:
        with suppress(OSError):  # it was never made
            part.unlink(missing_ok=True)


def _write(context: Context, wanted: Wanted, file: TextIO, number: int, *, as_json: bool) -> None:
    writer = csv.writer(file)
    if not as_json:
        file.write("\ufeff")  # spreadsheet programs take it for UTF-8 then
        writer.writerow(exports.header(wanted))
    with progress("exporting", number) as show:
        done = 0
        for people in exports.pages(context.engine, wanted):
            if as_json:
                file.writelines(_line(exports.facts(person)) for person in people)
            else:
                writer.writerows(exports.cells(person, wanted) for person in people)
            done += len(people)
            show(done)


@contextmanager
def progress(what: str, number: int) -> Iterator[Callable[[int], None]]:
    """Show how many of `number` are done; give what is told."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(what, total=number or None)
        yield lambda done: bar.update(task, completed=done)


def _wanted(topics: tuple[str, ...], state: str | None) -> Wanted:
    chosen = tuple(t for t in Topic if t.value in topics) or tuple(Topic)
    return Wanted(chosen, SubscriptionState(state) if state else None)


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
