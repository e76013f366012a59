"""The file of endings: written before each COMMIT that ends a consent or hands out a batch, and compared with the
database at every start, at every tick, and whenever a drain begins.

    transaction ends a consent -> its line is on the disk -> the mark moves -> COMMIT
    file reaches beyond the mark -> what stands there is applied -> the mark moves -> COMMIT -> letters may go

What must stay true: there is no COMMIT without the line: a line too many is all that a crash can leave. Where the file
cannot be written, the person is left alone all the same: the line is owed to it (`ending_owed`), and follows.
"""

import contextlib
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection, Engine, event, select

from dispatcher.db import clock, side_file
from dispatcher.db.engine import reading
from dispatcher.db.tables import batch, campaign
from dispatcher.db.terms import BatchState, CampaignKind, Topic
from dispatcher.domain import ending_marks, endings
from dispatcher.domain.ending_marks import Known, Tide
from dispatcher.domain.endings import Claimed, Ending, First, Launched, Line, Noted, Restricted, Stretch, Witness
from dispatcher.domain.proof import chain_head
from dispatcher.errors import InputRefused, PartUnavailable
from dispatcher.sending.house import keyring
from dispatcher.settings import Settings

if TYPE_CHECKING:
    from dispatcher.domain.newsletters.on_hold import Held, Since
    from dispatcher.domain.people.reapplying import Applied

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Settled:
    """What was made good. `older`: the database had lost what it once held. `ledger_reached`: the newest event of the
    consent ledger that a line names; `ledger_ends`: the newest one that this database has from before.
    """

    older: bool
    applied: "Applied"
    held: "tuple[Held, ...]"
    unreadable: int
    ledger_reached: int
    ledger_ends: int
    elsewhere: tuple[str, ...]  # files that this database knows and that were not at hand


class EndingsFile:
    """The file of this machine."""

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self._key = key

    @property
    def place(self) -> str:
        """Give machine and path."""
        return f"{socket.gethostname()}:{self.path}"

    def first(self) -> First:
        """Give the first line, making the file if there is none. Raises OSError, and InputRefused for a file that is
        none of ours, or whose hashes another key made.
        """
        return self.checked(self.path, side_file.begin(self.path, lambda: endings.new_first(self._key).octets))

    def checked(self, path: Path, octets: bytes) -> First:
        """Read the first line of a file. Raises InputRefused."""
        try:
            first = endings.read_first(octets)
        except InputRefused as error:
            raise InputRefused(f"{path} {error.what}", error.cure) from None
        if first.key != self._key:
            what = f"{path} belongs to another installation: its hashes were made under another secret key"
            raise InputRefused(what, "name the file of this installation, or put its oldest key back")
        return first

    def keep(self, conn: Connection, noted: Sequence[Noted]) -> None:
        """Write what a transaction has noted; its COMMIT comes next."""
        try:
            self._write(conn, noted)
        except OSError as error:
            log.error("endings.not_written", error=error.strerror, lines=len(noted), doing="owed until there is room")
            ending_marks.owe(conn, endings.written(noted, 0, 0).decode("ascii"))

    def _write(self, conn: Connection, noted: Sequence[Noted]) -> None:
        first = self.first()
        mark, newest = self._take(conn, first)
        if side_file.size(self.path) < mark:  # cut, or an old copy: what is added there would count as applied
            aside = self.path.with_name(f"{self.path.name}.short-{first.id.hex()[:8]}")
            log.error("endings.file_is_short", has=side_file.size(self.path), should_have=mark)
            self.path.rename(aside)
            first = self.first()
            mark, newest = self._take(conn, first)
        before, after = side_file.add(self.path, endings.written(noted, mark, newest))
        if before == mark:  # else lines are missing here: they are applied first, see settle
            ending_marks.move(conn, first.id, after)

    def _take(self, conn: Connection, first: First) -> tuple[int, int]:
        stands = ending_marks.take(conn, first.id)
        if stands is None:
            is_new = side_file.size(self.path) == len(first.octets)
            ending_marks.make_known(conn, first.id, self.place, len(first.octets) if is_new else 0)
            stands = ending_marks.take(conn, first.id)
        assert stands is not None
        return stands


def file_of(settings: Settings) -> EndingsFile:
    """Give the file of endings that is set."""
    return EndingsFile(settings.endings, keyring(settings).oldest.fingerprint())


def keep(engine: Engine, file: EndingsFile) -> Engine:
    """Let an engine's transactions write what they note to the file before they commit; give the engine."""

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        endings.begin(conn)

    @event.listens_for(engine, "commit")
    def _before_commit(conn: Connection) -> None:
        noted = endings.taken(conn)
        if noted:
            file.keep(conn, noted)

    return engine


def settle(engine: Engine, file: EndingsFile, tide: Tide | None = None) -> Settled | None:
    """Apply what the database lacks of this machine's file; hold campaigns if it has gone back. None: nothing was
    lacking. Safe to call at any time, in any number of processes. `tide`: how far this one has seen the database come.

    Raises InputRefused for a file that is none, PartUnavailable for one that cannot be read.
    """
    with _naming(file):
        if not _lacks(engine, file):
            return None
        with engine.begin() as conn:
            went_back = tide is not None and ending_marks.has_gone_back(conn, tide)
            settled = _settle(conn, file, (), restored=went_back or _is_copy(conn, ending_marks.known(conn)))
    _tell(settled)
    return settled


def make_good(engine: Engine, file: EndingsFile, others: Sequence[Path], *, without: bool) -> Settled:
    """Make good what a database lacks of which an operator says that it was put back to an earlier state.

    Raises what `settle` raises, and PartUnavailable when a file that the database knows is not at hand, unless the
    operator goes on `without`: then it counts as lost for good.
    """
    with _naming(file), engine.begin() as conn:
        settled = _settle(conn, file, others, restored=True)
        if settled.elsewhere and not without:
            raise PartUnavailable(
                f"not at hand: {', '.join(settled.elsewhere)}. Who left since the backup stands there, and which"
                " letters went out",
                "fetch each and name it with --endings FILE; if one is lost for good, add --without-endings",
            )
        ending_marks.give_up(conn, settled.elsewhere, clock.now(conn))
    return settled


def pay(engine: Engine) -> int:
    """Write the lines that are owed, if there is room now; give how many were."""
    with reading(engine).connect() as conn:
        if not ending_marks.is_in_debt(conn):
            return 0
    with engine.begin() as conn:
        text = "".join(ending_marks.owed(conn)).encode("ascii")
        noted = [line.noted for line in endings.read(text, 0).lines]
        endings.note(conn, noted)
    return len(noted)


def missing(engine: Engine, file: EndingsFile) -> list[Known]:
    """Give the files that were kept at this place and are not there any more."""
    try:
        there = file.first().id
    except OSError:
        there = b""
    with reading(engine).connect() as conn:
        return [k for k in ending_marks.known(conn) if k.place == file.place and k.id != there and k.lost_at is None]


def require_complete(engine: Engine, file: EndingsFile) -> None:
    """Raise PartUnavailable when a file that was kept here is gone: nobody knows what it held."""
    if missing(engine, file):
        raise PartUnavailable(
            f"the file of endings {file.path} is not the one with which this database was used: who asked to be left"
            " alone since the last backup stood in that one",
            "put it back; if it is lost for good: dispatcher restore --without-endings",
        )


def pulse(engine: Engine) -> None:
    """While letters of newsletters may be going, write down that the database has come this far: every few seconds."""
    letters_go = (
        select(batch.c.no)
        .join(campaign, campaign.c.id == batch.c.campaign_id)
        .where(batch.c.state == BatchState.LEASED, campaign.c.kind == CampaignKind.NEWSLETTER)
        .limit(1)
    )
    with reading(engine).connect() as conn:
        if conn.execute(letters_go).one_or_none() is None:
            return
    with engine.begin() as conn:
        endings.note(conn, [Witness(clock.now(conn))])


def witness(engine: Engine) -> None:
    """Write down that the database has come this far. Twice: the second line proves the COMMIT of the first."""
    for _ in range(2):
        with engine.begin() as conn:
            endings.note(conn, [Witness(clock.now(conn))])


@contextlib.contextmanager
def _naming(file: EndingsFile) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"the file of endings {error.filename or file.path} cannot be used: {error.strerror}"
        raise PartUnavailable(what, "check path, rights and space; it is the setting DISPATCHER_ENDINGS") from None


def _lacks(engine: Engine, file: EndingsFile) -> bool:
    """Claim that the database lacks something. A file that holds nothing yet is made known, before there is a line: one
    whose writer died would else stand beyond a mark of which the database knows nothing, as after a restore.
    """
    first = file.first()
    with reading(engine).connect() as conn:
        known = ending_marks.known(conn)
        if _is_copy(conn, known):
            return True
    mark = {each.id: each.octets for each in known}.get(first.id)
    reaches = side_file.size(file.path)
    if mark is not None or reaches > len(first.octets):
        return mark is None or reaches > mark
    with engine.begin() as conn:
        ending_marks.make_known(conn, first.id, file.place, reaches)
    return False


def _is_copy(conn: Connection, known: Iterable[Known]) -> bool:
    """Claim that this database is a copy of an earlier one: it stands elsewhere than when its marks were last moved, or
    they were read in.
    """
    here = ending_marks.home(conn)
    return any(each.home != here or each.is_read_in for each in known)


def _settle(conn: Connection, file: EndingsFile, others: Sequence[Path], *, restored: bool) -> Settled:
    from dispatcher.domain.newsletters import on_hold  # a day on which something is lost is rare; 2 MB less on others
    from dispatcher.domain.people import reapplying

    now = clock.now(conn)
    ledger = chain_head.take(conn, now)  # first: who ends a consent takes it before the mark
    stretches = dict(_unapplied(conn, file, others))
    lines = [line for _, stretch in stretches.values() for line in stretch.lines]
    older = restored or any(endings.is_older(mark, stretch) for mark, stretch in stretches.values())
    held = on_hold.hold(conn, _since(lines), now) if older else []  # first: by the consent under which they were sent
    applied = reapplying.apply(conn, [line.noted for line in lines if isinstance(line.noted, Ending | Restricted)], now)
    for file_id, (_, stretch) in stretches.items():
        ending_marks.move(conn, file_id, stretch.end)
    ending_marks.settle_in(conn)
    endings.taken(conn)  # it stands in the files already
    elsewhere = tuple(k.place for k in ending_marks.known(conn) if k.id not in stretches and k.lost_at is None)
    return Settled(
        older=older,
        applied=applied,
        held=tuple(held),
        unreadable=sum(stretch.unreadable for _, stretch in stretches.values()),
        ledger_reached=max((line.event for line in lines), default=0),
        ledger_ends=ledger.last_id,
        elsewhere=elsewhere,
    )


def _unapplied(
    conn: Connection, file: EndingsFile, others: Iterable[Path]
) -> Iterable[tuple[bytes, tuple[int, Stretch]]]:
    """Give, by file, its mark and what stands beyond it."""
    file.first()
    for path in dict.fromkeys([file.path, *others]):
        first = file.checked(path, side_file.read(path, 0).partition(b"\n")[0] + b"\n")
        ending_marks.make_known(conn, first.id, file.place if path == file.path else str(path), 0)
        stands = ending_marks.take(conn, first.id)
        assert stands is not None
        mark = stands[0]
        stretch = endings.read(side_file.read(path, mark), mark)
        yield first.id, (mark, stretch)


def _since(lines: Iterable[Line]) -> "Since":
    from dispatcher.domain.newsletters.on_hold import Since

    launched, claimed = dict[int, Topic](), dict[int, set[int]]()
    for line in lines:
        match line.noted:
            case Launched(campaign_id, topic, _):
                launched[campaign_id] = topic
            case Claimed(campaign_id, no, _):
                claimed.setdefault(campaign_id, set()).add(no)
            case _:
                pass
    return Since(launched, {of: frozenset(numbers) for of, numbers in claimed.items()})


def _tell(settled: Settled) -> None:
    done = settled.applied
    log.warning(
        "endings.applied", older=settled.older, withdrawn=done.withdrawn, erased=done.erased,
        restricted=done.restricted, listed=done.listed, held=[held.id for held in settled.held],
        unreadable=settled.unreadable,
    )  # fmt: skip
