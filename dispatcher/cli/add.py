"""`dispatcher subscribers add`: one person, entered by an operator."""

from datetime import UTC, datetime
from typing import Any

import click
from rich.markup import escape

from dispatcher import broker
from dispatcher.cli.context import Context, out, pass_context, print_json
from dispatcher.db import clock
from dispatcher.db.terms import Language
from dispatcher.domain.typed import topics_of
from dispatcher.errors import InputRefused
from dispatcher.sending import adding
from dispatcher.sending.adding import Given, Wish
from dispatcher.sending.entry import Fate

_BY = "operator, command line"
_MEANS = {
    Fate.CONFIRMED: "consent with evidence, current from now on",
    Fate.OLDER: "consent with evidence, but under older words: to be renewed",
    Fate.UNCHANGED: "consent was current before; nothing was changed",
    Fate.WITHDRAWN: "the person left. Without --consent-at they are asked by mail, and can come back",
    Fate.SUPPRESSED: "on the never-mail list; stays there",
    Fate.RESTRICTED: "processing is restricted (Art. 18 GDPR); nothing was changed",
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
    wanted = tuple(topics_of(" ".join(topics)))
    given = _given(said["consent_at"], said["evidence"], said["declaration"])
    language = Language(said["language"])
    wish = Wish(address, wanted, _BY, said["source"], said["name"], language, given=given)
    with context.engine.begin() as conn:
        entered = adding.add(conn, context.keyring, context.settings, wish, clock.now(conn))
    fates, mail = entered.fates, entered.mail
    heard = mail is None or broker.nudge_launch(context.settings, mail)
    if as_json:
        print_json({"address": address, "topics": fates or dict.fromkeys(wanted, "asked" if mail else "not asked")})
        return
    for topic, fate in fates.items():
        out.print(f"{topic}: {fate}: {_MEANS[fate]}")
    if given is None and mail is not None:
        out.print(f"{escape(address)} is asked by mail to confirm" + ("" if heard else ", at the next tick"))
    elif given is None:
        out.print("no mail is due: consent is current, two mails went today, or the address is on the never-mail list")
        out.print(f"see: dispatcher subscribers show {escape(address)}")


def _given(text: str | None, evidence: str | None, declaration: str | None) -> Given | None:
    if (text is None) != (evidence is None):
        raise InputRefused(
            "a time of consent and its evidence belong together",
            "give both --consent-at and --evidence; or neither, and the person is asked by mail",
        )
    if text is None or evidence is None:
        if declaration is not None:
            raise InputRefused(
                "--declaration goes with --evidence", "without it, the person is shown the words that are valid now"
            )
        return None
    return Given(_moment(text), evidence, declaration)


def _moment(text: str) -> datetime:
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
