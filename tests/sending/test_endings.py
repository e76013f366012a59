"""The file of endings: nothing ends without a line, and what a database has lost is applied to it before letters go."""

import resource
import signal
import threading
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, func, select, update

from dispatcher.db import clock, side_file
from dispatcher.db.tables import campaign, consent_event, opt_in_request
from dispatcher.db.terms import ConsentKind, Language, SuppressionReason, Topic
from dispatcher.domain import consent, ending_marks, suppression
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.endings import Ending, Witness
from dispatcher.domain.people import erasure, subscribers
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.errors import InputRefused, PartUnavailable
from dispatcher.sending import address_change, endings, opt_in
from dispatcher.sending.endings import EndingsFile
from tests import builders
from tests.processes import KILLED, Forked, program
from tests.sending.leaving import Kept, open_kept

TOPIC = Topic.FINANCE_NEWS
SAID = Evidence("a test")


@pytest.fixture
def kept(engine: Engine, keyring: Keyring, tmp_path: Path) -> Kept:
    return open_kept(engine, keyring, tmp_path)


def add(kept: Kept, *addresses: str) -> list[int]:
    with kept.engine.begin() as conn:
        now = clock.now(conn)
        ids = list(builders.add_people(conn, kept.keyring, list(addresses), now).values())
        builders.agree(conn, ids, TOPIC, now, ConsentKind.CONFIRMED)
    return ids


def withdraw(kept: Kept, who: int, *topics: Topic) -> None:
    with kept.engine.begin() as conn:
        consent.withdraw(conn, who, topics or [TOPIC], SAID, clock.now(conn))


def person(conn: Connection, who: int) -> subscribers.Subscriber:
    found = subscribers.by_id(conn, who)
    assert found is not None
    return found


def test_what_ends_a_consent_is_in_the_file_with_hash_scope_time_and_event_and_without_the_address(kept: Kept) -> None:
    [anna] = add(kept, "anna@example.de")
    withdraw(kept, anna)
    [line] = kept.lines()
    assert isinstance(line.noted, Ending)
    assert (line.noted.address_hash, line.noted.scope) == (kept.hash("anna@example.de"), TOPIC)
    with kept.engine.begin() as conn:
        event = conn.execute(select(consent_event).where(consent_event.c.kind == "withdrawn")).one()
    assert (line.event, line.noted.at) == (event.id, event.at)
    assert b"anna" not in kept.file.path.read_bytes()
    assert kept.mark() == kept.file.path.stat().st_size
    assert kept.file.path.stat().st_mode & 0o777 == 0o600


def test_the_line_is_on_the_disk_before_the_commit(kept: Kept) -> None:
    [anna] = add(kept, "anna@example.de")
    with kept.engine.connect() as conn:
        transaction = conn.begin()
        consent.withdraw(conn, anna, [TOPIC], SAID, clock.now(conn))
        assert not kept.file.path.exists()
        transaction.commit()
    assert len(kept.lines()) == 1


def test_an_ending_that_is_rolled_back_leaves_no_line(kept: Kept) -> None:
    [anna] = add(kept, "anna@example.de")
    with kept.engine.connect() as conn:
        conn.begin()
        consent.withdraw(conn, anna, [TOPIC], SAID, clock.now(conn))
        conn.rollback()
    withdraw(kept, add(kept, "bert@example.de")[0])
    assert [line.noted.address_hash for line in kept.lines()] == [kept.hash("bert@example.de")]  # type: ignore[union-attr]


def test_a_list_of_many_is_one_write(kept: Kept) -> None:
    hashes = [bytes([number % 256, number // 256]) * 16 for number in range(4000)]
    with kept.engine.begin() as conn:
        now = clock.now(conn)
        suppression.suppress(conn, hashes, None, SuppressionReason.OPERATOR, "a list", now)
    lines = kept.lines()
    assert len(lines) == 4000
    assert len({line.mark for line in lines}) == 1


def test_whoever_withdrew_was_erased_or_was_listed_since_the_backup_is_out_again_after_it(kept: Kept) -> None:
    anna, bert, _, dora = add(kept, "anna@example.de", "bert@example.de", "carl@example.de", "dora@example.de")
    kept.back_up()
    withdraw(kept, anna)
    with kept.engine.begin() as conn:
        now = clock.now(conn)
        erasure.erase(conn, person(conn, bert).id, SAID, now)
        listed = [kept.hash("carl@example.de"), kept.hash("stranger@example.com")]
        suppression.suppress(conn, listed, None, SuppressionReason.COMPLAINT, "arf", now)
    kept.put_back()
    assert (kept.state(anna), kept.reasons("anna@example.de")) == ("confirmed", {})

    settled = endings.settle(kept.engine, kept.file)
    assert settled is not None
    assert settled.older
    assert (settled.applied.withdrawn, settled.applied.erased, settled.applied.listed) == (1, 1, 2)
    assert kept.state(anna) == "withdrawn"
    assert kept.reasons("anna@example.de") == {TOPIC: "withdrawn"}
    assert kept.reasons("carl@example.de") == {"all": "complaint"}
    assert kept.reasons("stranger@example.com") == {"all": "complaint"}
    with kept.engine.begin() as conn:
        assert person(conn, bert).address is None
        assert conn.execute(consent.permits_newsletter(TOPIC)).scalars().all() == [dora]


def test_to_settle_again_changes_nothing_and_writes_nothing(kept: Kept) -> None:
    [anna] = add(kept, "anna@example.de")
    kept.back_up()
    withdraw(kept, anna)
    before = kept.file.path.read_bytes()
    kept.put_back()
    assert endings.settle(kept.engine, kept.file) is not None
    assert endings.settle(kept.engine, kept.file) is None
    assert kept.file.path.read_bytes() == before
    endings.make_good(kept.engine, kept.file, [kept.file.path], without=False)
    with kept.engine.begin() as conn:
        withdrawals = select(func.count()).where(consent_event.c.kind == "withdrawn")
        assert conn.execute(withdrawals).scalar_one() == 1


def come_back(kept: Kept, who: int, at: datetime | None = None) -> None:
    with kept.engine.begin() as conn:
        consent.confirm(conn, who, [TOPIC], SAID, at or clock.now(conn))


def test_a_later_double_opt_in_wins_over_an_older_withdrawal_also_when_its_line_comes_from_elsewhere(
    kept: Kept, keyring: Keyring, tmp_path: Path
) -> None:
    [anna] = add(kept, "anna@example.de")
    withdraw(kept, anna)
    come_back(kept, anna)
    other = EndingsFile(tmp_path / "other.jsonl", keyring.oldest.fingerprint())
    other.first()
    other.path.write_bytes(other.path.read_bytes() + kept.file.path.read_bytes().split(b"\n", 1)[1])
    endings.make_good(kept.engine, kept.file, [other.path], without=False)
    assert (kept.state(anna), kept.reasons("anna@example.de")) == ("confirmed", {})


def test_files_in_any_order_come_to_the_same(kept: Kept) -> None:
    [anna] = add(kept, "anna@example.de")
    kept.back_up()
    withdraw(kept, anna)
    kept.put_back()
    come_back(kept, anna)  # she signed up anew before anybody had applied what was lost
    assert endings.settle(kept.engine, kept.file) is not None
    assert kept.state(anna) == "confirmed"


def test_a_double_opt_in_lifts_no_complaint(kept: Kept) -> None:
    [anna] = add(kept, "anna@example.de")
    kept.back_up()
    with kept.engine.begin() as conn:
        builders.suppress(conn, kept.keyring, ["anna@example.de"], clock.now(conn))
    kept.put_back()
    come_back(kept, anna)
    endings.settle(kept.engine, kept.file)
    assert kept.reasons("anna@example.de") == {"all": "complaint"}


def test_a_request_from_before_a_withdrawal_that_was_lost_asks_nobody_any_more(kept: Kept) -> None:
    [anna] = add(kept, "anna@example.de")
    with kept.engine.begin() as conn:
        now = clock.now(conn)
        declared = builders.declare(conn, now)
        evidence = Evidence("form", language=Language.DE, declaration_id=declared)
        asked = opt_in.Request(parse_address("anna@example.de"), "Anna", Language.DE, (Topic.PRODUCT_NEWS,), evidence)
        assert opt_in.request(conn, kept.keyring, asked, now) is not None
    kept.back_up()
    withdraw(kept, anna, *Topic)
    kept.put_back()
    endings.settle(kept.engine, kept.file)
    with kept.engine.begin() as conn:
        [request] = conn.execute(select(opt_in_request.c.id, opt_in_request.c.erased_at)).all()
        assert request.erased_at is not None
        assert conn.execute(consent.permits_confirmation(request.id)).all() == []


def test_whoever_moved_since_the_backup_is_left_alone_at_the_address_that_was_theirs(kept: Kept) -> None:
    [anna] = add(kept, "anna@example.de")
    kept.back_up()
    with kept.engine.begin() as conn:
        address_change.ask(
            conn, kept.keyring, person(conn, anna), parse_address("new@example.com"), SAID, clock.now(conn)
        )
    for _ in range(2):  # the button in the one mailbox, then in the other
        with kept.engine.begin() as conn:
            newest = conn.execute(select(func.max(opt_in_request.c.id))).scalar_one()
            url = opt_in.asked(conn, newest, kept.keyring, "https://news.example.de").confirm_url
            address_change.press(conn, kept.keyring, url.rpartition("/")[2], SAID, clock.now(conn))
    kept.put_back()
    endings.settle(kept.engine, kept.file)
    with kept.engine.begin() as conn:
        assert person(conn, anna).address == "anna@example.de"  # where they went, a hash does not tell
        assert conn.execute(consent.permits_newsletter(TOPIC)).all() == []


def leave_a_line_without_a_commit(kept: Kept, who: int) -> None:
    """As a process does that is killed between the file and COMMIT."""
    with kept.engine.connect() as conn:
        conn.begin()
        consent.withdraw(conn, who, [TOPIC], SAID, clock.now(conn))
        kept.file.keep(
            conn, [Ending(kept.hash("anna@example.de"), TOPIC, SuppressionReason.WITHDRAWN, clock.now(conn))]
        )
        conn.rollback()


def test_whoever_asked_and_got_an_error_is_left_alone_and_no_campaign_is_held_for_it(kept: Kept) -> None:
    [anna, _] = add(kept, "anna@example.de", "bert@example.de")
    withdraw(kept, anna, Topic.PRODUCT_NEWS)
    leave_a_line_without_a_commit(kept, anna)
    withdraw(kept, add(kept, "carl@example.de")[0])  # others go on, behind the line that was never committed
    assert kept.state(anna) == "confirmed"
    with kept.engine.begin() as conn:
        running = builders.create_campaign(conn, clock.now(conn))
        conn.execute(update(campaign).values(state="sending", audience=2))
    settled = endings.settle(kept.engine, kept.file)
    assert settled is not None
    assert (settled.older, settled.held) == (False, ())
    assert kept.state(anna) == "withdrawn"
    with kept.engine.begin() as conn:
        assert conn.execute(select(campaign.c.state).where(campaign.c.id == running)).scalar_one() == "sending"


def test_a_torn_last_line_costs_neither_the_one_before_nor_the_one_after(kept: Kept) -> None:
    anna, bert = add(kept, "anna@example.de", "bert@example.de")
    kept.back_up()
    withdraw(kept, anna)
    with kept.file.path.open("ab") as file:
        file.write(b'{"kind":"withdrawn","addr')
    withdraw(kept, bert)
    kept.put_back()
    settled = endings.settle(kept.engine, kept.file)
    assert settled is not None
    assert settled.unreadable == 1
    assert (kept.state(anna), kept.state(bert)) == ("withdrawn", "withdrawn")


def test_a_file_that_cannot_be_written_refuses_no_withdrawal_and_its_line_follows_when_there_is_room(
    kept: Kept,
) -> None:
    anna, bert = add(kept, "anna@example.de", "bert@example.de")
    withdraw(kept, anna)
    kept.back_up()
    room = kept.file.path
    kept.file.path = kept.file.path.parent  # a folder takes no line
    withdraw(kept, bert)
    assert kept.state(bert) == "withdrawn"
    with kept.engine.begin() as conn:
        assert ending_marks.is_in_debt(conn)
    assert endings.pay(kept.engine) == 1  # still no room
    kept.file.path = room
    assert endings.pay(kept.engine) == 1
    assert endings.pay(kept.engine) == 0
    kept.put_back()
    endings.settle(kept.engine, kept.file)
    assert kept.state(bert) == "withdrawn"


def test_when_the_disk_is_full_nothing_of_a_line_stands_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    side_file.begin(path, lambda: b"first\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))  # the kernel writes what fits, then refuses
        with pytest.raises(OSError, match="too large"):
            side_file.add(path, b"a line that does not fit any more\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, heard)
    assert path.read_bytes() == b"first\n"
    assert side_file.add(path, b"second\n") == (6, 13)


def test_a_file_that_is_gone_is_missed_until_an_operator_gives_it_up(kept: Kept) -> None:
    [anna] = add(kept, "anna@example.de")
    withdraw(kept, anna)
    endings.require_complete(kept.engine, kept.file)
    kept.file.path.unlink()
    with pytest.raises(PartUnavailable, match="is not the one with which this database was used"):
        endings.require_complete(kept.engine, kept.file)
    withdraw(kept, anna, Topic.PRODUCT_NEWS)  # a new file is begun: nobody has to wait for it
    with pytest.raises(PartUnavailable):
        endings.require_complete(kept.engine, kept.file)
    with pytest.raises(PartUnavailable, match="not at hand"):
        endings.make_good(kept.engine, kept.file, [], without=False)
    endings.make_good(kept.engine, kept.file, [], without=True)
    endings.require_complete(kept.engine, kept.file)


def test_a_file_that_was_cut_is_laid_aside_and_a_new_one_begun(kept: Kept) -> None:
    anna, bert = add(kept, "anna@example.de", "bert@example.de")
    withdraw(kept, anna)
    kept.file.path.write_bytes(kept.file.path.read_bytes()[:-40])
    withdraw(kept, bert)
    [line] = kept.lines()
    assert line.noted.address_hash == kept.hash("bert@example.de")  # type: ignore[union-attr]
    assert len(list(kept.file.path.parent.glob("endings.jsonl.short-*"))) == 1


def test_a_file_of_another_installation_is_refused_with_the_reason(kept: Kept, tmp_path: Path) -> None:
    stranger = EndingsFile(tmp_path / "theirs.jsonl", Keyring((Key("x", b"x" * 32),)).oldest.fingerprint())
    stranger.first()
    with pytest.raises(InputRefused, match="under another secret key"):
        endings.make_good(kept.engine, kept.file, [stranger.path], without=False)
    stranger.path.write_text("hello\n", encoding="ascii")
    with pytest.raises(InputRefused, match="is no file of endings"):
        endings.make_good(kept.engine, kept.file, [stranger.path], without=False)


def test_of_many_who_leave_at_once_all_stand_in_the_file_and_the_mark_is_its_end(kept: Kept) -> None:
    people = add(kept, *(f"p{number}@example.de" for number in range(40)))
    threads = [
        threading.Thread(target=lambda part=part: [withdraw(kept, who) for who in part])
        for part in (people[:10], people[10:20], people[20:30], people[30:])
    ]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept.lines()) == 40
    assert kept.mark() == kept.file.path.stat().st_size
    marks = [line.mark for line in kept.lines()]
    assert marks == sorted(set(marks))


def test_a_witness_tells_that_a_database_is_old_although_nobody_left(kept: Kept) -> None:
    add(kept, "anna@example.de")
    kept.back_up()
    endings.witness(kept.engine)
    assert all(isinstance(line.noted, Witness) for line in kept.lines())
    assert endings.settle(kept.engine, kept.file) is None
    kept.put_back()
    settled = endings.settle(kept.engine, kept.file)
    assert settled is not None
    assert settled.older


_DIES = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from dispatcher.db import clock
from dispatcher.db.engine import make_engine
from dispatcher.db.terms import Topic
from dispatcher.domain import consent
from dispatcher.domain.consent import Evidence
from dispatcher.sending import endings
from dispatcher.sending.endings import EndingsFile

url, path, key, who = sys.argv[1:]
engine = endings.keep(make_engine(url), EndingsFile(Path(path), bytes.fromhex(key)))
event.listen(engine, "commit", lambda conn: os.kill(os.getpid(), signal.SIGKILL))  # behind the file, before COMMIT
with engine.begin() as conn:
    consent.withdraw(conn, int(who), [Topic.FINANCE_NEWS], Evidence("a test"), clock.now(conn))
"""


@pytest.mark.parametrize("lines", [0, 1])
def test_whoever_is_killed_between_the_file_and_the_commit_leaves_a_line_that_is_applied(
    kept: Kept, keyring: Keyring, lines: int
) -> None:
    anna, bert = add(kept, "anna@example.de", "bert@example.de")
    assert endings.settle(kept.engine, kept.file) is None  # as whoever starts does
    if lines:
        withdraw(kept, bert)
    url = kept.engine.url.render_as_string(hide_password=False)
    key = keyring.oldest.fingerprint().hex()
    assert Forked(program, _DIES, url, str(kept.file.path), key, str(anna)).wait() == KILLED
    assert (len(kept.lines()), kept.state(anna)) == (lines + 1, "confirmed")
    settled = endings.settle(kept.engine, kept.file)
    assert settled is not None
    assert (settled.older, settled.applied.withdrawn) == (False, 1)
    assert kept.state(anna) == "withdrawn"
    assert kept.mark() == kept.file.path.stat().st_size
