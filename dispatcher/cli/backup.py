"""`dispatcher backup` and `dispatcher restore`."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Engine

from dispatcher.cli.context import Context, err, out, pass_context, print_json
from dispatcher.counting import counted
from dispatcher.db import backup as copies
from dispatcher.db import clock, migrate
from dispatcher.db import engine as engines
from dispatcher.db.engine import reading
from dispatcher.domain.proof import chain_head
from dispatcher.errors import DispatcherError, InputRefused
from dispatcher.sending import endings, notary
from dispatcher.sending import house as houses
from dispatcher.sending.endings import Settled

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--json", "as_json", is_flag=True)
@pass_context
def backup(context: Context, file: Path, as_json: bool) -> None:
    """Copy a SQLite database to FILE while everything goes on. Checked; never over an existing file.

    It holds people's addresses: keep it where only you can read it, and the keys elsewhere. The file of endings is not
    in it, and must not be: it tells what happened after the backup. For PostgreSQL see docs/production.md.

    \b
    dispatcher backup /mnt/elsewhere/dispatcher-2026-11-24.db
    """
    source = copies.file_of(context.settings.database_url)
    engine = context.engine
    columns = (TextColumn("copying"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        work = bar.add_task("", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(work, completed=done, total=total)

        with copies.copied(source, file.absolute(), tell):
            endings.witness(engine)  # before the copy has its name: whoever has it can tell that it is old
    octets = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "octets": octets, "checked": True})
        return
    out.print(
        f"{file}: {octets:,} octets, whole; the file of endings goes on at {context.settings.endings}", markup=False
    )


@click.command()
@click.argument("file", type=_FILE, required=False)
@click.option(
    "--endings", "others", type=_FILE, multiple=True,
    help="A file of endings of another machine; may be given several times. This machine's is read anyway.",
)  # fmt: skip
@click.option("--without-endings", is_flag=True, help="This machine's file of endings is lost for good: go on without.")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def restore(
    context: Context, file: Path | None, others: tuple[Path, ...], without_endings: bool, as_json: bool
) -> None:
    """Put a SQLite database back from FILE; or, without FILE, make good what one lacks that was put back already.

    Whoever withdrew, objected, complained or was erased since the backup is taken out again, by the files of endings;
    and campaigns that were under way are held, for the ledger does not know any more whom they reached. Stop workers
    and pages first. PostgreSQL: restore it by its own means, then say `dispatcher restore`, then start the workers.

    \b
    dispatcher restore /mnt/elsewhere/dispatcher-2026-11-24.db
    dispatcher restore --endings web-1.jsonl --endings web-2.jsonl
    """
    if file is not None:
        settled, aside = _put_back(context, file.absolute(), others, without=without_endings)
    else:
        url = context.settings.database_url
        settled, aside = _make_good(context, url, others, without=without_endings), None
    if as_json:
        print_json(_as_json(settled, aside))
    else:
        _print(settled, aside)


def _put_back(context: Context, file: Path, others: tuple[Path, ...], *, without: bool) -> tuple[Settled, Path | None]:
    """Make everything good in a copy; then put it in the place of the database. So nobody ever sees it as it was."""
    live = copies.file_of(context.settings.database_url)
    if not file.exists():
        raise InputRefused(f"there is no file {file}", "name a file that `dispatcher backup` made")
    copies.check(file)
    live.parent.mkdir(parents=True, exist_ok=True)
    copies.require_unused(live)
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    ready = live.with_name(f".{live.name}.{stamp}.ready")
    with copies.copied(file, ready, lambda _done, _total: 0):
        pass
    try:
        settled = _make_good(context, f"sqlite:///{ready}", others, without=without)
        copies.require_unused(ready)  # its own log is emptied into it
        copies.require_unused(live)
        aside = copies.put_back(ready, live, live.with_name(f"{live.name}.before-{stamp}"))
    finally:
        for left in ready.parent.glob(f"{ready.name}*"):
            left.unlink()
    return settled, aside


def _make_good(context: Context, url: str, others: tuple[Path, ...], *, without: bool) -> Settled:
    engine = endings.keep(engines.make_engine(url), context.endings)
    try:
        engines.check(engine)
        migrate.upgrade(engine)  # the backup may be of an earlier version
        with engine.begin() as conn:
            houses.remember_keys(conn, context.keyring, clock.now(conn))
        with reading(engine).connect() as conn:
            end = chain_head.read(conn)
        settled = endings.make_good(engine, context.endings, others, without=without)
        if end is not None and settled.ledger_reached > settled.ledger_ends:
            _acknowledge(context, engine, end.events)
        if settled.applied.erased:
            engines.scrub(engine)
        return settled
    finally:
        engine.dispose()


def _acknowledge(context: Context, engine: Engine, restored_to: int) -> None:
    """Sign that what came later than this was lost by a restore, so that older checkpoints do not miss it for ever."""
    try:
        notary.make(engine, context.settings, restored_to=restored_to)
    except DispatcherError as error:
        err.print(
            f"the loss is not signed: {error.what}; until it is, checkpoints of then do not match. Once that is mended,"
            " say: dispatcher consent acknowledge",
            markup=False,
        )


def _print(settled: Settled, aside: Path | None) -> None:
    done = settled.applied
    out.print(
        f"applied again. People withdrawn: {done.withdrawn:,}; erased: {done.erased:,}; restricted:"
        f" {done.restricted:,}; put on the never-mail list: {done.listed:,}"
    )
    if settled.unreadable:
        lines = counted(settled.unreadable, "line")
        out.print(f"[bold]of the files could not be read: {lines}[/]; torn by a crash, or damaged")
    for held in settled.held:
        out.print(f"[bold]campaign {held.id}[/] {escape(held.name)}: was {held.was}, is {held.now_is}. {held.why}")
    if settled.ledger_reached > settled.ledger_ends:
        out.print(
            f"the consent ledger goes on behind event {settled.ledger_ends:,}; it had come to"
            f" {settled.ledger_reached:,}: what came between is gone, and `consent verify` says so from now on"
        )
    for place in settled.elsewhere:
        out.print(f"[bold]gone on without[/] {escape(place)}: who left since the backup is not known from there")
    if aside is not None:
        out.print(
            f"the former database lies at {aside}; it holds addresses: delete it when it is not needed", markup=False
        )
    out.print("next: look at held campaigns (`dispatcher campaigns list`), then start pages and workers")


def _as_json(settled: Settled, aside: Path | None) -> dict[str, object]:
    return {
        **asdict(settled.applied),
        "held": [asdict(held) for held in settled.held],
        "unreadable": settled.unreadable,
        "ledger_reached": settled.ledger_reached,
        "ledger_ends": settled.ledger_ends,
        "gone_on_without": list(settled.elsewhere),
        "former": str(aside) if aside else None,
    }
