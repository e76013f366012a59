"""`dispatcher declarations`: the words people agree to; which consent rests on which; and who has to be asked again."""

import csv
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from dispatcher import broker
from dispatcher.cli.context import Context, make_table, out, pass_context, print_json
from dispatcher.counting import counted
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, SubscriptionState, Topic
from dispatcher.domain import declarations as words
from dispatcher.domain import resting, wording, zones
from dispatcher.domain.declarations import UNKNOWN, Draft
from dispatcher.domain.resting import Resting
from dispatcher.domain.spreadsheets import guarded
from dispatcher.domain.typed import topics_of
from dispatcher.domain.versions import Version
from dispatcher.errors import InputRefused
from dispatcher.sending import declarations as shown
from dispatcher.sending import renewal

_AT = "%Y-%m-%d %H:%M"
_TOPICS = "topics, separated by blanks"


@click.group()
def declarations() -> None:
    """The words people agree to, in versions that never change."""


@declarations.command("list")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show every version, and how many people's consent rests on it."""
    with reading(context.engine).connect() as conn:
        standing, counted = words.versions(conn), resting.counted(conn)
        newest = words.current(conn, Language.DE, clock.now(conn))
    current = newest.number if newest else None
    if as_json:
        print_json({
            "shown": newest.version if newest else None,
            "versions": [_as_json(version, counted) for version in standing],
            UNKNOWN: _people_json(None, counted),
        })  # fmt: skip
        return
    table = make_table(
        "version", "words", "valid from (UTC)", "topic", "consents", "good", "older", right=("consents",)
    )
    for version in standing:
        for place, topic in enumerate(version.topics):
            marked = f"{escape(version.version)}{' *' if version.number == current else ''}"
            head = (marked, " ".join(version.languages), f"{version.valid_from:{_AT}}")
            people = _consents(counted, version.number, topic)
            table.add_row(*(head if place == 0 else ("", "", "")), topic, *_cells(people), _older(version, topic))
    for topic in Topic:
        if people := _consents(counted, None, topic):
            table.add_row(UNKNOWN, "", "", topic, *_cells(people), "")
    out.print(table)
    out.print("* is shown now. consents: people whose current consent rests on it; good: it counts;")
    out.print("older: consent to older words is covered, or has to be renewed.")


@declarations.command()
@click.argument("version")
@click.option("--language", type=click.Choice([language.value for language in Language]), help="Only this one.")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def show(context: Context, version: str, language: str | None, as_json: bool) -> None:
    """Show the words of a version, with their SHA-256."""
    with reading(context.engine).connect() as conn:
        found = words.named(conn, version)
        entries = [entry for entry in words.texts(conn, found.number) if language in (None, entry.language)]
        counted = resting.counted(conn) if as_json else []
    if as_json:
        told = [{"language": e.language, "sha256": e.sha256.hex(), "text": e.text} for e in entries]
        print_json({**_as_json(found, counted), "words": told})
        return
    out.print(f"[bold]{escape(found.name)}[/]  valid from {found.valid_from:{_AT}} UTC, for {', '.join(found.topics)}")
    for topic in sorted(found.renews):
        out.print(f"{topic}: older consent has to be renewed")
    for entry in entries:
        out.print(f"\n[bold]{entry.language}[/]  SHA-256 {entry.sha256.hex()}\n")
        out.print(entry.text, markup=False)


@declarations.command()
@click.argument("version")
@click.option("--file", "files", multiple=True, metavar="LANGUAGE=FILE", help="The words in a language; once for each.")
@click.option("--topics", required=True, metavar="TOPICS", help=f"What the words cover: {_TOPICS}.")
@click.option("--covers-older", is_flag=True, help="Consent to older words stays good, for every topic.")
@click.option("--renews", metavar="TOPICS", help=f"For these it does not: it has to be renewed ({_TOPICS}).")
@click.option(
    "--covers-unknown", is_flag=True, help="With --renews: imported consent to words not known here stays good."
)
@click.option("--valid-from", metavar="TIME", help="Wall-clock time, 2027-01-01T09:00; default: at once.")
@click.option("--zone", default="Europe/Berlin", show_default=True, help="IANA time zone of that time.")
@pass_context
def add(context: Context, /, version: str, files: tuple[str, ...], **said: Any) -> None:
    """Enter new words. They are shown from then on, and can never be changed.

    It is said how many people's letters they stop, and from when on; with a --valid-from to come, ask them ahead.
    The words are Markdown; $sender and $contact are filled in with the settings of today.

    \b
    dispatcher declarations add 2027-01 --file de=new.de.md --file en=new.en.md \\
      --topics "product-news finance-news" --renews finance-news
    """
    topics = tuple(topics_of(said["topics"]))
    texts = _read_files(context, files)
    draft = Draft(version, texts, topics, _renewed(**said), said["covers_unknown"])
    words.check(draft)
    wording.check_topics(texts, topics, shown.titles())
    with context.engine.begin() as conn:
        now = clock.now(conn)
        shown.enter(conn, context.settings, now)  # what older consent rests on is there before what is newer
        at = zones.moment(said["valid_from"], said["zone"], now) if said["valid_from"] else None
        is_new = words.enter(conn, replace(draft, valid_from=at), now)
        entered = words.named(conn, version)
        stopped = {topic: renewal.count(conn, entered, topic).total() for topic in sorted(entered.renews)}
    if not is_new:
        out.print(f"{escape(entered.name)} stands already, with the same words; nothing was changed")
        return
    out.print(f"{escape(entered.name)} is shown from {entered.valid_from:{_AT}} UTC on, in {' and '.join(texts)}")
    for topic, count in stopped.items():
        who = counted(count, "person gets", "people get")
        out.print(f"{topic}: {who} no letters on it from then on, without renewing the consent")
    if stopped:
        if at is not None:
            out.print("they can be asked now already: whoever agrees in time misses no letter")
        out.print(f"next: dispatcher declarations ask {escape(version)} --topic {min(stopped)} --dry-run")


@declarations.command()
@click.argument("version")
@click.option("--list", "by_name", is_flag=True, help="Name them: address, topic and state, as CSV.")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def people(context: Context, version: str, by_name: bool, as_json: bool) -> None:
    """Count the people who stand under a version, by topic and state.

    `unknown` in place of a version: those whose consent names no words that are known here.
    """
    with reading(context.engine).connect() as conn:
        number = None if version == UNKNOWN else words.named(conn, version).number
        if by_name:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(["address", "topic", "state"])
            for one in resting.people(conn, number):
                writer.writerow([guarded(one.address or "(erased)"), one.topic, one.state])
            return
        theirs = [entry for entry in resting.counted(conn) if entry.number == number]
    if as_json:
        print_json({"version": version, "people": _people_json(number, theirs)})
        return
    table = make_table("topic", "state", "people", "good", right=("people",))
    for entry in theirs:
        is_consent = entry.state is SubscriptionState.CONFIRMED
        table.add_row(entry.topic, entry.state, f"{entry.people:,}", _good(entry) if is_consent else "")
    out.print(table)


@declarations.command()
@click.argument("version")
@click.option("--topic", required=True, help=f"One of: {', '.join(Topic)}.")
@click.option("--rate", type=int, help="Letters a minute at most; default: as fast as can be.")
@click.option("--dry-run", is_flag=True, help="Count whom it would ask, ask nobody.")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def ask(context: Context, /, version: str, topic: str, **said: Any) -> None:
    """Ask everyone whose consent is under older words, once, by mail.

    The mail asks for a new double opt-in; one mail speaks of all topics that a person would have to renew. It goes out
    as a campaign: it can be paused, slowed down and followed like one. Nobody is asked twice under the same words,
    however often this is repeated.

    Words that are to come can be asked for before they are valid: whoever agrees in time misses no letter.

    Whether a mail that asks may be sent at all, while the older consent is in doubt, is a question of law that depends
    on why it is: ask counsel first.
    """
    if topic not in list(Topic):
        raise InputRefused(f"there is no topic {topic!r}", f"use one of: {', '.join(Topic)}")
    campaign_id = None
    with reading(context.engine).connect() as conn:  # to look at everybody takes a while, and holds up no letter
        found = words.named(conn, version)
        renewal.check(conn, found, Topic(topic), clock.now(conn))
        counted = renewal.count(conn, found, Topic(topic))
    if not said["dry_run"] and counted[None]:
        with context.engine.begin() as conn:
            campaign_id = renewal.ask(conn, found, Topic(topic), context.house, clock.now(conn), said["rate"])
    heard = campaign_id is None or broker.nudge_launch(context.settings, campaign_id)
    if said["as_json"]:
        kept_back = {reason: count for reason, count in counted.items() if reason}
        print_json(
            {"dry_run": said["dry_run"], "campaign": campaign_id, "asked": counted[None], "not_asked": kept_back}
        )
        return
    for reason, count in sorted(counted.items(), key=lambda item: item[0] or ""):
        out.print(f"{count:,} {'not asked: ' + escape(reason) if reason else 'to be asked'}")
    if campaign_id is None:
        out.print("dry run: nobody was asked" if counted[None] else "nobody is to be asked")
        return
    out.print(f"campaign {campaign_id} asks" + ("" if heard else " at the next tick (the broker does not answer)"))
    out.print(f"next: dispatcher campaigns status {campaign_id} --watch")


@declarations.command()
@click.argument("sha256", required=False)
@pass_context
def notices(context: Context, sha256: str | None) -> None:
    """List the texts of the privacy notice that were ever linked; with the beginning of a SHA-256, show that one."""
    with reading(context.engine).connect() as conn:
        kept = words.notices(conn)
    if sha256 is None:
        table = make_table("shown from (UTC)", "language", "SHA-256")
        for notice in kept:
            table.add_row(f"{notice.first_shown_at:{_AT}}", notice.language, notice.sha256.hex()[:32])
        out.print(table)
        return
    found = [notice for notice in kept if notice.sha256.hex().startswith(sha256.lower())]
    if len(found) != 1:
        raise InputRefused(f"{len(found)} privacy notices have a SHA-256 that begins with {sha256}", "give more of it")
    out.print(found[0].text, markup=False)


def _read_files(context: Context, files: tuple[str, ...]) -> dict[Language, str]:
    texts: dict[Language, str] = {}
    for given in files:
        code, _, name = given.partition("=")
        if code not in list(Language) or not name:
            raise InputRefused(f"--file {given!r} names no language", f"write it as --file {Language.DE}=FILE")
        if Language(code) in texts:
            raise InputRefused(f"the words in {code} are given twice", "give one file for each language")
        try:
            with Path(name).open("rb") as file:
                data = file.read(wording.LARGEST_FILE + 1)
        except OSError as error:
            raise InputRefused(f"{name} cannot be read: {error.strerror}", "name another file") from None
        text = wording.checked(wording.decoded(data, name), name)
        texts[Language(code)] = wording.filled(text, name, shown.values(context.settings))
    return texts


def _renewed(*, covers_older: bool, renews: str | None, covers_unknown: bool, **_: object) -> frozenset[Topic]:
    renewed = frozenset(topics_of(renews or ""))
    if covers_older == bool(renewed):
        raise InputRefused(
            "it has to be said whether consent to older words stays good", "say --covers-older, or --renews TOPICS"
        )
    if covers_unknown and not renewed:
        raise InputRefused("--covers-unknown says nothing without --renews", "leave it out: all consent stays good")
    return renewed


def _consents(counted: list[Resting], number: int | None, topic: Topic) -> list[Resting]:
    key = (number, topic, SubscriptionState.CONFIRMED)
    return [entry for entry in counted if (entry.number, entry.topic, entry.state) == key]


def _cells(people: list[Resting]) -> tuple[str, str]:
    return f"{sum(entry.people for entry in people):,}", " ".join(_good(entry) for entry in people)


def _good(entry: Resting) -> str:
    return "yes" if entry.is_covered else "no"


def _older(version: Version, topic: Topic) -> str:
    if version.number == 1:
        return ""
    return "renew" if topic in version.renews else "covered"


def _as_json(version: Version, counted: list[Resting]) -> dict[str, Any]:
    return {
        "version": version.version, "name": version.name, "languages": version.languages, "topics": version.topics,
        "valid_from": version.valid_from, "renews": sorted(version.renews), "covers_unknown": version.covers_unknown,
        "people": _people_json(version.number, counted),
    }  # fmt: skip


def _people_json(number: int | None, counted: list[Resting]) -> list[dict[str, Any]]:
    return [
        {"topic": entry.topic, "state": entry.state, "people": entry.people, "is_covered": entry.is_covered}
        for entry in counted
        if entry.number == number
    ]
