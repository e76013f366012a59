"""`dispatcher consent verify`, `checkpoint` and `public-key`: that nobody has altered the ledger."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Engine

from dispatcher.cli.context import Context, err, fail, out, pass_context, print_json
from dispatcher.db.engine import reading
from dispatcher.domain import chain_head, checkpoints, seal, verification
from dispatcher.domain.checkpoints import Checkpoint
from dispatcher.domain.verification import Break, Verdict, Wrong
from dispatcher.errors import InputRefused, LedgerBroken
from dispatcher.sending import notary

_RESTORE = (
    "keep this database as it is, find out who can write to it, and compare with a backup from before: what the backup "
    "has is the proof"
)
_CURES = {
    Wrong.CHANGED: _RESTORE,
    Wrong.MISSING: f"{_RESTORE}; after a restore from a backup, what came later is gone",
    Wrong.INSERTED: f"{_RESTORE}; nothing may be mailed under this event",
    Wrong.HEAD: _RESTORE,
    Wrong.CHECKPOINT: f"{_RESTORE}; or the checkpoint belongs to another database, or the backup was older than it",
    Wrong.FORGED: "if another key of yours signed it, name that with --public-key; else somebody made it up",
}


@click.command()
@click.option("--checkpoint", "file", type=click.Path(path_type=Path), help="Checkpoints that were kept elsewhere.")
@click.option(
    "--public-key", "keys", multiple=True, type=click.Path(path_type=Path),
    help="An earlier verifying key, in PEM; may be given several times.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True)
@pass_context
def verify(context: Context, file: Path | None, keys: tuple[Path, ...], as_json: bool) -> None:
    """Verify that no event of the ledger was changed, taken away or put in. Exit code 1: it names the first one.

    Only checkpoints kept where nobody here can write find a ledger that was made anew from its beginning.

    \b
    dispatcher consent verify
    dispatcher consent verify --checkpoint /mnt/elsewhere/consent_checkpoints.jsonl
    dispatcher consent verify --public-key key-of-2026.pem --json
    """
    elsewhere = _elsewhere(file) if file else []
    pems = [seal.load_or_make(context.settings).public_pem, *(_read(path) for path in keys)]
    found = _verify(context.engine, elsewhere, pems)
    if as_json:
        print_json(_as_json(found))
        sys.exit(1 if found.broken else 0)
    if found.broken:
        fail(LedgerBroken(_says(found.broken), _CURES[found.broken.wrong]))
    out.print(f"well: {found.events:,} events, each chained to the one before; {found.checkpoints:,} checkpoints match")
    if found.blanked:
        out.print(f"{found.blanked:,} of them without personal fields, as erasure and retention leave them")
    if found.head and found.head.chained_later:
        begun = f"{found.head.begun_at:%Y-%m-%d %H:%M} UTC"
        out.print(f"the first {found.head.chained_later:,} were chained at {begun}, later than they were written")


@click.command()
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), help="A file to add it to, besides.")
@pass_context
def checkpoint(context: Context, file: Path | None) -> None:
    """Sign where the ledger ends, and print it: a line of JSON. Keep it where nobody who can write here can write.

    A worker makes one every day by itself; all of them lie in consent_checkpoints.jsonl under var/.

    \b
    dispatcher consent checkpoint
    dispatcher consent checkpoint -o /mnt/elsewhere/consent_checkpoints.jsonl
    """
    made = notary.make(context.engine, context.settings, file)
    if made is None:
        raise InputRefused("the ledger is empty", "make a checkpoint when there is something to sign")
    out.print(made.line, markup=False)


@click.command("public-key")
@pass_context
def public_key(context: Context) -> None:
    """Print the key that verifies checkpoints and dossiers, in PEM. Keep it with them.

    \b
    dispatcher consent public-key > dispatcher-proofs.pem
    """
    out.print(seal.load_or_make(context.settings).public_pem.strip(), markup=False)


def _verify(engine: Engine, elsewhere: list[Checkpoint], pems: list[str]) -> Verdict:
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar, _snapshot(engine) as conn:
        end = chain_head.read(conn)
        work = bar.add_task("", total=end.events if end else None)
        tell: Callable[[int], object] = lambda done: bar.update(work, completed=done)  # noqa: E731
        return verification.verify(conn, elsewhere, pems, tell)


def _snapshot(engine: Engine):  # type: ignore[no-untyped-def]
    """One view of the ledger while others go on appending; SQLite's readers have one anyway."""
    reader = reading(engine)
    if engine.dialect.name == "postgresql":
        reader = reader.execution_options(isolation_level="REPEATABLE READ")
    return reader.connect()


def _elsewhere(file: Path) -> list[Checkpoint]:
    try:
        return checkpoints.parse(_read(file))
    except InputRefused as error:
        raise InputRefused(f"{file}: {error.what}", error.cure) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise InputRefused(f"{path} cannot be read: {error.strerror}", "check path and rights") from None
    except UnicodeDecodeError:
        raise InputRefused(f"{path} is not plain text", "name a file as dispatcher wrote it") from None


def _says(broken: Break) -> str:
    if broken.subscriber is None:
        where = f"behind event {broken.event}: " if broken.event else ""
        return f"the consent ledger is broken, {broken.wrong}: {where}{broken.says}"
    of = f"event {broken.event} of person {broken.subscriber}, {broken.at:%Y-%m-%d %H:%M:%S} UTC"
    return f"the consent ledger is broken at {of}, {broken.wrong}: {broken.says}"


def _as_json(found: Verdict) -> dict[str, object]:
    head, broken = found.head, found.broken
    return {
        "well": broken is None,
        "events": found.events,
        "blanked": found.blanked,
        "checkpoints": found.checkpoints,
        "chained_later": head.chained_later if head else 0,
        "instance": head.instance.hex() if head else None,
        "head": head.head.hex() if head else None,
        "broken": {**asdict(broken), "cure": _CURES[broken.wrong]} if broken else None,
    }
