"""What a letter costs in Python, counted and not timed: the same on every machine and under every load.

    python -m tests.bench.hot_path            what it is now, beside what was recorded
    python -m tests.bench.hot_path --write    record this: at a release

Counted are the interpreter's instructions and the calls of C functions, for one letter on its way: links and letter
composed (sending/press.py), its envelope said and its replies read (smtp/protocol.py), its outcome written out for
PostgreSQL (domain/ledger.py).
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from types import FrameType

from dispatcher.bench import letter
from dispatcher.compose.content import parse_content
from dispatcher.compose.freezing import freeze
from dispatcher.db.terms import Language, Outcome, Topic
from dispatcher.domain import ledger
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.ledger import Final
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.sending.press import CampaignPress, Stationery
from dispatcher.smtp.envelope import Offers
from dispatcher.smtp.lane import Parcel
from dispatcher.smtp.protocol import Answered, Dialogue
from tests.compose.samples import HOUSE
from tests.stage import Stage

LETTERS = 200
RECORD = Path(__file__).with_name("hot_path.json")
_NAMES = ("Maria Muster", "Jörg Weiß", "Anna Berg", "")
_NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Count:
    """Per letter."""

    instructions: float
    c_calls: float


def count() -> Count:
    """Send letters to nobody and count. The first ones are left out: they fill caches."""
    press = _press()
    people = [
        Recipient(i, i.to_bytes(8, "big"), f"person{i}@example.de", _NAMES[i % 4], Language.DE, date(2026, 3, 2), 1)
        for i in range(LETTERS)
    ]
    _carry(press, people)
    return Count(
        instructions=_instructions(lambda: _carry(press, people)) / LETTERS,
        c_calls=_c_calls(lambda: _carry(press, people)) / LETTERS,
    )


def recorded() -> Count:
    """Give what was recorded last; 0.1.0 was never counted, so the record begins after it."""
    return Count(**json.loads(RECORD.read_text(encoding="utf-8")))


def _press() -> CampaignPress:
    source = parse_content(letter.content(HOUSE), file="bench.de.md")
    edition = freeze(source, topic=letter.TOPIC, subject=letter.SUBJECT, house=HOUSE, campaign_id=1)
    keyring = Keyring((Key("a", b"k" * 32),))
    stationery = Stationery(keyring, HOUSE.public_url, "bounce.example.de", "news.example.de")
    of = Stage.made_up_campaign(Topic.FINANCE_NEWS, Language.DE)
    return CampaignPress(of, {Language.DE: edition.to_json()}, stationery)


def _carry(press: CampaignPress, people: list[Recipient]) -> None:
    talk, finals, first = Dialogue(Offers(pipelining=True)), [], True
    for number, to in enumerate(people):
        parcel: Parcel = press.parcel(to, _NOW)
        if first:
            talk.offer(parcel)
        else:
            talk.release(parcel)
        talk.take()
        taken = b"" if first else b"250 2.0.0 Ok: queued as %d\r\n" % number
        for event in talk.receive(taken + b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 Go on\r\n"):
            if isinstance(event, Answered):
                finals.append(Final(1, to.subscriber_id, Outcome.SENT, 1, 250, "250 2.0.0 Ok", "relay", False))
        first = False
    ledger.finals_values(finals, _NOW)


def _instructions(work: Callable[[], None]) -> int:
    seen = 0

    def local(_frame: FrameType, event: str, _argument: object) -> object:
        nonlocal seen
        seen += event == "opcode"
        return local

    def trace(frame: FrameType, _event: str, _argument: object) -> object:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return local

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        work()
    finally:
        sys.settrace(before)
    return seen


def _c_calls(work: Callable[[], None]) -> int:
    seen = 0

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal seen
        seen += event == "c_call"

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen


def main() -> None:
    """Print, or write down."""
    parser = argparse.ArgumentParser(description="What a letter costs in Python, counted.")
    parser.add_argument("--write", action="store_true", help="record this")
    now = count()
    if parser.parse_args().write:
        RECORD.write_text(json.dumps(asdict(now), indent=2) + "\n", encoding="utf-8")
    was = recorded()
    for name in ("instructions", "c_calls"):
        is_now, was_then = getattr(now, name), getattr(was, name)
        sys.stdout.write(f"{name:13} {is_now:8.1f} a letter, {is_now / was_then:.3f} of what was recorded\n")


if __name__ == "__main__":
    main()
