"""`dispatcher subscribers add`: one person, entered by an operator."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click
from rich.markup import escape
from sqlalchemy import Connection

from dispatcher import broker
from dispatcher.cli.context import Context, out, pass_context, print_json
from dispatcher.db import clock
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import declarations as words
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.subscribers import clean_name, topics_of
from dispatcher.errors import InputRefused
from dispatcher.sending import entry, opt_in
from dispatcher.sending.entry import Fate
from dispatcher.sending.opt_in import Request
from dispatcher.web import declarations

_BY = "operator, command line"
_LONGEST = 500
_MEANS = {
    Fate.CONFIRMED: "consent with evidence, current from now on",
    Fate.OLDER: "consent with evidence, but under older words: to be renewed",
    Fate.UNCHANGED: "consent was current before; nothing was changed",
    Fate.WITHDRAWN: "the person left. Without --consent-at they are asked by mail, and can come back",
    Fate.SUPPRESSED: "on the never-mail list; stays there",
}


@click.command()
@click.argument("address")
@click.option("--topic", "topics", multiple=True, required=True, help="What they want to read about; may be repeated.")
@click.option("--source", required=True, help="How their wish reached you, in words; kept as proof.")
@click.option("--name", default="", help="As they write it.")
@click.option("--language", type=click.Choice([language.value for language in Language]), default=Language.DE.value)
@click.option("--consent-at", metavar="TIME", help="When they agreed: 2026-03-01T10:30:00+01:00. Needs --evidence.")
@click.option("--evidence", metavar="TEXT", help="What proves it, and where it is kept.")
@click.option("--declaration", metavar="VERSION", help="With --evidence: to which words, if they are known here.")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def add(context: Context, /, address: str, topics: tuple[str, ...], as_json: bool, **said: Any) -> None:
    """Enter one person on their word.

    Without evidence they get a mail that asks them to confirm; with it, their consent is current at once. Suppression
    and withdrawal always win.

    \b
    dispatcher subscribers add maria@example.de --topic finance-news --source "paper form, fair 2026"
    dispatcher subscribers add maria@example.de --topic finance-news --source "paper form, fair 2026" \\
      --consent-at 2026-03-01T10:30:00+01:00 --evidence "form 117, folder 4"
    """
    wanted = topics_of(" ".join(topics))
    given_at = _given_at(said["consent_at"], said["evidence"])
    with context.engine.begin() as conn:
        now = clock.now(conn)
        if given_at is not None and given_at > now:
            raise InputRefused(f"--consent-at {said['consent_at']} lies in the future", "when did they agree?")
        declarations.enter(conn, context.settings, now)
        evidence = _evidence(conn, context, wanted, given_at, now, **said)
        language = Language(said["language"])
        request = Request(parse_address(address), clean_name(said["name"]), language, wanted, evidence)
        fates: Mapping[Topic, Fate] = {}
        mail = None
        if given_at is not None:
            fates = entry.enter(conn, context.keyring, request, given_at, now)
        else:
            mail = opt_in.request(conn, context.keyring, request, now)
    heard = mail is None or broker.nudge_launch(context.settings, mail)
    if as_json:
        print_json({"address": address, "topics": fates or dict.fromkeys(wanted, "asked" if mail else "not asked")})
        return
    for topic, fate in fates.items():
        out.print(f"{topic}: {fate}: {_MEANS[fate]}")
    if given_at is None and mail is not None:
        out.print(f"{escape(address)} is asked by mail to confirm" + ("" if heard else ", at the next tick"))
    elif given_at is None:
        out.print("no mail is due: consent is current, two mails went today, or the address is on the never-mail list")
        out.print(f"see: dispatcher subscribers show {escape(address)}")


def _given_at(text: str | None, evidence: str | None) -> datetime | None:
    if (text is None) != (evidence is None):
        raise InputRefused(
            "a time of consent and its evidence belong together",
            "give both --consent-at and --evidence; or neither, and the person is asked by mail",
        )
    if text is None or evidence is None:
        return None
    _checked("--evidence", evidence)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InputRefused(f"{text!r} is not a time", "write it as 2026-03-01T10:30:00+01:00") from None
    if at.tzinfo is None:
        raise InputRefused(f"{text!r} names no offset from UTC", "write it as 2026-03-01T10:30:00+01:00")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise InputRefused(f"{text!r} is not a time", "write it as 2026-03-01T10:30:00+01:00") from None


def _evidence(
    conn: Connection, context: Context, wanted: list[Topic], given_at: datetime | None, now: datetime, **said: Any
) -> Evidence:
    language = Language(said["language"])
    source = f"{_BY}: {_checked('--source', said['source'])}"
    if given_at is not None:
        proof = Evidence(source=f"{source}; evidence: {said['evidence']}", language=language, given_at=given_at)
        return _under(conn, proof, said["declaration"], language, wanted)
    if said["declaration"] is not None:
        raise InputRefused(
            "--declaration goes with --evidence", "without it, the person is shown the words that are valid now"
        )
    covered = declarations.shown(conn, language, now).topics
    _require_covered(wanted, covered)
    return declarations.on_their_behalf(conn, context.settings, source, language, now)


def _under(conn: Connection, proof: Evidence, version: str | None, language: Language, wanted: list[Topic]) -> Evidence:
    if version is None:
        return proof
    found = words.named(conn, version)
    assert proof.given_at is not None
    reason = words.why_not_under(found, wanted, proof.given_at)
    if reason is not None:
        raise InputRefused(reason, "name the words that they agreed to; `dispatcher declarations list` shows them")
    ids = {text.language: text.id for text in words.texts(conn, found.number)}
    return proof._replace(declaration_id=ids[language], declaration_named=found.name)


def _require_covered(wanted: list[Topic], covered: tuple[Topic, ...]) -> None:
    if strange := [topic for topic in wanted if topic not in covered]:
        raise InputRefused(f"the declaration does not cover {', '.join(strange)}", f"it covers {', '.join(covered)}")


def _checked(option: str, text: str) -> str:
    if not text.strip() or len(text) > _LONGEST or not text.isprintable():
        raise InputRefused(f"{option} has to be one line of 1 to {_LONGEST} characters", "say it in a few words")
    return text.strip()
