"""`dispatcher consent verify`, `checkpoint`, `acknowledge` and `public-key`: that nobody has altered the ledger."""

import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dispatcher.cli.context import Context, err, out, pass_context, print_json
from dispatcher.counting import counted
from dispatcher.domain.proof import checkpoints, seal
from dispatcher.domain.proof.checkpoints import Checkpoint
from dispatcher.domain.proof.verification import Verdict
from dispatcher.domain.proof.walk import Break, Wrong
from dispatcher.errors import InputRefused, LedgerBroken, SettingInvalid
from dispatcher.sending import notary, verifying

_RESTORE = (
    "keep this database as it is, find out who can write to it, and compare with a backup from before: what the backup "
    "has is the proof"
)
_RESTORED = "after a restore from a backup of yours say: dispatcher consent acknowledge"
_CURES = {
    Wrong.CHANGED: _RESTORE,
    Wrong.MISSING: _RESTORE,
    Wrong.INSERTED: f"{_RESTORE}; nothing may be mailed under this event",
    Wrong.HEAD: _RESTORE,
    Wrong.STANDING: f"{_RESTORE}; nothing may be mailed under this subscription",
    Wrong.WORDS: f"{_RESTORE}; it is what people agreed to",
    Wrong.CHECKPOINT: f"{_RESTORE}; or the checkpoint belongs to another database; {_RESTORED}",
    Wrong.FORGED: "if another key of yours signed it, name that with --public-key; else somebody made it up",
    Wrong.UNSIGNED: "let a worker run, which signs every hour, or say: dispatcher consent checkpoint",
}
_KEYS = click.option(
    "--public-key", "keys", multiple=True, type=click.Path(path_type=Path),
    help="A verifying key, in PEM: an earlier one, or the only one here; may be given several times.",
)  # fmt: skip
_ELSEWHERE = click.option(
    "--checkpoint", "file", type=click.Path(path_type=Path), help="Checkpoints that were kept elsewhere."
)


@click.command()
@_ELSEWHERE
@_KEYS
@click.option("--json", "as_json", is_flag=True)
@pass_context
def verify(context: Context, file: Path | None, keys: tuple[Path, ...], as_json: bool) -> None:
    """Verify that no event of the ledger was changed, taken away or put in. Exit code 1: it names what was.

    It goes by the checkpoints in the database, those in var/, and those of --checkpoint. Only such as are kept where
    nobody here can write find a ledger that was made anew from its beginning. No private key is needed.

    \b
    dispatcher consent verify
    dispatcher consent verify --checkpoint /mnt/elsewhere/consent_checkpoints.jsonl
    dispatcher consent verify --public-key key-of-2026.pem --json
    """
    found = _verify(context, file, keys)
    if as_json:
        print_json(_as_json(found))
    elif found.count:
        _tell_breaks(found)
    else:
        _tell_well(found)
    sys.exit(1 if found.count else 0)


@click.command()
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), help="A file to add it to, besides.")
@pass_context
def checkpoint(context: Context, file: Path | None) -> None:
    """Sign where the ledger ends, and print it: a line of JSON. Keep it where nobody who can write here can write.

    A worker makes one every hour in which something happened, and one a day at least; all of them lie in
    consent_checkpoints.jsonl under var/.

    \b
    dispatcher consent checkpoint
    dispatcher consent checkpoint -o /mnt/elsewhere/consent_checkpoints.jsonl
    """
    made = notary.make(context.engine, context.settings, file)
    if made is None:
        raise InputRefused("the ledger is empty", "make a checkpoint when there is something to sign")
    out.print(made.line, markup=False)


@click.command()
@_ELSEWHERE
@_KEYS
@pass_context
def acknowledge(context: Context, file: Path | None, keys: tuple[Path, ...]) -> None:
    """Say that the newest events were lost by a restore from a backup: a checkpoint that says so, signed.

    From then on `verify` does not miss what older checkpoints signed and the backup did not have; it goes on saying
    that there was a restore. Refused when anything else is wrong with the ledger.

    \b
    dispatcher consent acknowledge
    dispatcher consent acknowledge --checkpoint /mnt/elsewhere/consent_checkpoints.jsonl
    """
    found = _verify(context, file, keys)
    others = [each for each in found.breaks if each.wrong not in {Wrong.CHECKPOINT, Wrong.UNSIGNED}]
    if others:
        raise LedgerBroken(_says(others[0]), _CURES[others[0].wrong])
    if found.missed_from is None:
        raise InputRefused("every checkpoint says what stands here", "there is nothing to acknowledge")
    made = notary.make(context.engine, context.settings, restored_to=found.missed_from - 1)
    assert made is not None
    out.print(f"acknowledged: what was signed later than event {made.restored_to:,} of the chain, and is gone")
    out.print(made.line, markup=False)


@click.command("public-key")
@pass_context
def public_key(context: Context) -> None:
    """Print the key that verifies checkpoints and dossiers, in PEM. Keep it with them.

    \b
    dispatcher consent public-key > dispatcher-proofs.pem
    """
    path = context.settings.seal_key
    key = seal.load(path)
    if key is None:
        cure = "name the file in which it lies; where no setting names one, make it: dispatcher consent checkpoint"
        raise SettingInvalid(seal.NAME, f"{path} is not there", cure)
    out.print(key.public_pem.strip(), markup=False)


def _verify(context: Context, file: Path | None, keys: tuple[Path, ...]) -> Verdict:
    pems = _public_keys(context.settings.seal_key, keys)
    own = context.settings.var / notary.FILE
    points = [*(_points(own) if own.exists() else []), *(_points(file) if file else [])]
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
    with bar:
        work = bar.add_task("", total=None)

        def tell(done: int, total: int | None) -> None:
            bar.update(work, completed=done, total=total)

        return verifying.verify(context.engine, context.settings, points, pems, tell)


def _public_keys(own: Path, files: tuple[Path, ...]) -> list[str]:
    """Give the verifying keys that are ours: our own, if we have it here, and those that are named."""
    pems = []
    for path in files:
        pem = _read(path)
        try:
            seal.key_id(pem)
        except InputRefused as error:
            raise InputRefused(f"{path}: {error.what}", error.cure) from None
        pems.append(pem)
    try:
        key = seal.load(own)
    except SettingInvalid:
        if not pems:
            raise
        return pems  # whoever only verifies may not read the private one
    return [key.public_pem, *pems] if key is not None else pems


def _points(file: Path) -> list[Checkpoint]:
    try:
        found, torn = checkpoints.parse(_read(file))
    except InputRefused as error:
        raise InputRefused(f"{file}: {error.what}", error.cure) from None
    for number in torn:
        err.print(f"line {number} of {file} is no checkpoint; a write may have broken off there", markup=False)
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise InputRefused(f"{path} cannot be read: {error.strerror}", "check path and rights") from None
    except UnicodeDecodeError:
        raise InputRefused(f"{path} is not plain text", "name a file as dispatcher wrote it") from None


def _tell_breaks(found: Verdict) -> None:
    cured = set[str]()
    for each in found.breaks:
        cure = _CURES[each.wrong]
        err.print(f"[bold red]error:[/] {escape(_says(each))}")
        if cure not in cured:
            err.print(f"[bold]  cure:[/] {escape(cure)}")
            cured.add(cure)
    if found.count > len(found.breaks):
        err.print(f"and {found.count - len(found.breaks):,} more")


def _tell_well(found: Verdict) -> None:
    matching = counted(found.checkpoints, "checkpoint matches", "checkpoints match")
    out.print(f"well: {counted(found.events, 'event')}, each chained to the one before; {matching}")
    if found.newest:
        when = f"{found.newest.moment:%Y-%m-%d %H:%M:%S} UTC"
        unsigned = counted(found.unsigned, "event since is", "events since are")
        out.print(f"newest checkpoint of ours: {when}; {unsigned} not signed yet")
    elif found.events:
        out.print("no checkpoint of ours: whoever can write to the database can cut off the newest events unseen")
    if found.blanked:
        out.print(f"{found.blanked:,} of them without personal fields, as erasure and retention leave them")
    if found.blanked_early:
        what = "are of people with an address, and neither old nor of a request that was let go of"
        out.print(f"{found.blanked_early:,} of those {what}")
    if found.head and found.head.chained_later:
        begun = f"{found.head.begun_at.datetime:%Y-%m-%d %H:%M} UTC"
        out.print(f"the first {found.head.chained_later:,} were chained at {begun}, later than they were written")
    for restore in found.restores:
        out.print(
            f"what was signed later than event {restore.restored_to:,} was lost by a restore, said at {restore.at}"
        )


def _says(broken: Break) -> str:
    what = f"{broken.wrong}: {broken.says}"
    if broken.event is None:
        return f"the consent ledger is broken, {what}"
    if broken.subscriber is None:
        return f"the consent ledger is broken behind event {broken.event}, {what}"
    when = f", {broken.at:%Y-%m-%d %H:%M:%S} UTC" if broken.at else ""
    return f"the consent ledger is broken at event {broken.event} of person {broken.subscriber}{when}, {what}"


def _as_json(found: Verdict) -> dict[str, object]:
    head = found.head
    return {
        "well": not found.count,
        "events": found.events,
        "blanked": found.blanked,
        "blanked_early": found.blanked_early,
        "checkpoints": found.checkpoints,
        "newest_checkpoint": found.newest.at if found.newest else None,
        "unsigned": found.unsigned,
        "restores": [asdict(restore) for restore in found.restores],
        "chained_later": head.chained_later if head else 0,
        "instance": head.instance.hex() if head else None,
        "head": head.head.hex() if head else None,
        "findings": found.count,
        "broken": [{**asdict(each), "cure": _CURES[each.wrong]} for each in found.breaks],
    }
