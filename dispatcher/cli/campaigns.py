"""`dispatcher campaigns`: from content files to the list of who is missing and why."""

import asyncio
import csv
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from dispatcher import broker
from dispatcher.cli import audience, preflight, revisions, signatures, trials
from dispatcher.cli.audience import filter_json, filter_options, read_topic, said_filter, show_filter
from dispatcher.cli.content_files import read_contents
from dispatcher.cli.context import Context, err, make_table, out, pass_context, print_json
from dispatcher.cli.figures import show_shares, show_status, show_waves, watch_status
from dispatcher.cli.preflight import gate_options
from dispatcher.cli.providers import read_rate, show_rate
from dispatcher.cli.trials import trial_options
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import CampaignState, Language, Topic
from dispatcher.domain import zones
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.audience import audiences, local_time
from dispatcher.domain.audience.filters import EVERYBODY
from dispatcher.domain.newsletters import accounts, authors, freshness
from dispatcher.domain.newsletters import campaigns as life
from dispatcher.domain.newsletters import missing as missing_people
from dispatcher.domain.newsletters import revisions as saving
from dispatcher.domain.newsletters import trials as tried
from dispatcher.domain.newsletters.campaigns import Draft
from dispatcher.domain.newsletters.shares import By, shares
from dispatcher.domain.spreadsheets import guarded
from dispatcher.errors import InputRefused, NotFound
from dispatcher.sending import house as houses
from dispatcher.sending import proof, release, subjects
from dispatcher.sending.preflight import gate
from dispatcher.smtp.verdict import Deferred, Refused, Sent


@click.group()
def campaigns() -> None:
    """Newsletters: create, schedule, start, watch, account for."""


@campaigns.command()
@click.option("--topic", required=True, help=f"One of: {', '.join(Topic)}.")
@click.option("--subject", required=True, help="The subject; a content file may bring its own for its language.")
@click.option("--content", "file", required=True, type=click.Path(path_type=Path), help="A Markdown file.")
@click.option("--name", help="Your name for it; default: the subject.")
@click.option("--rate", type=int, help="Letters a minute at most; default: as fast as can be.")
@click.option("--by", help="Who wrote it; by default whoever is logged in.")
@filter_options
@trial_options
@click.option("--json", "as_json", is_flag=True)
@pass_context
def create(context: Context, /, file: Path, as_json: bool, **said: Any) -> None:
    """Enter a draft. Of news.de.md, a news.en.md beside it is taken as the English letter.

    \b
    dispatcher campaigns create --topic finance-news --subject "Gold in KW 48" --content news.de.md
    dispatcher campaigns create --topic finance-news --subject "Gold in KW 48" --content news.de.md \\
        --only agreed-since=2026-01-01 --without received=7

    Of `subjects` in its head, 2 to 4 are tried on a share of the audience before the rest gets one of them.
    """
    topic, subject = read_topic(said["topic"]), said["subject"]
    wanted = said_filter(said) or EVERYBODY
    default, contents = read_contents(file)
    by = preflight.actor(context, said["by"])
    draft = Draft(topic, said["name"] or subject, subject, default, contents, said["rate"], by, wanted)
    with context.engine.begin() as conn:
        campaign_id = release.draft(conn, draft, context.house, clock.now(conn), trials.terms(said))
    if as_json:
        print_json({"id": campaign_id})
    else:
        out.print(f"campaign {campaign_id}, a draft in {' and '.join(contents)}")
        out.print(f"next: dispatcher campaigns preview {campaign_id} --for ADDRESS")


@campaigns.command()
@click.argument("campaign_id", metavar="ID", type=int)
@click.option(
    "--lang",
    type=click.Choice([language.value for language in Language]),
    default="en",
    help="The language of findings.",
)
@click.option("--json", "as_json", is_flag=True)
@pass_context
def check(context: Context, campaign_id: int, lang: str, as_json: bool) -> None:
    """Look a campaign over before it goes: every recipient's letter, links, law, spam, DNS. Nothing is sent.

    Ends with 3 if something stops it.

    \b
    dispatcher campaigns check 7
    dispatcher campaigns check 7 --lang de
    """
    preflight.check_campaign(context, campaign_id, Language(lang), as_json=as_json)


@campaigns.command()
@click.argument("campaign_id", metavar="ID", type=int)
@click.option("--at", required=True, help="Wall-clock time, 2026-12-01T09:00.")
@click.option("--zone", default="Europe/Berlin", show_default=True, help="IANA time zone of that time.")
@click.option("--local", is_flag=True, help="At that time by each reader's own clock; --zone is for those without one.")
@gate_options
@pass_context
def schedule(context: Context, /, campaign_id: int, at: str, zone: str, local: bool, **said: Any) -> None:
    """Look a campaign over, and release it for a moment. What stops it is told, and it is not released.

    \b
    dispatcher campaigns schedule 7 --at 2026-12-01T09:00 --zone Europe/Berlin
    dispatcher campaigns schedule 7 --at 2026-12-01T09:00 --zone Europe/Berlin --local
    """
    with reading(context.engine).connect() as conn:
        now = clock.now(conn)
        moment = zones.moment(at, zone, now)
    order = preflight.order(context, campaign_id, said, at=moment, zone=zone, wall_time=at if local else None)
    of = preflight.release(context, order, said).campaign
    if local:
        with reading(context.engine).connect() as conn:
            people = audiences.everyone(Topic(of.topic or ""), of.filter)
            waves = local_time.waves(conn, people, at, zone)
        out.print(f"campaign {campaign_id} goes out at {at} by each reader's own clock")
        show_waves(waves, zone, now)
    else:
        out.print(f"campaign {campaign_id} goes out at {at} {zone} ({moment:%Y-%m-%d %H:%M} UTC)")
    if of.is_stale(moment):
        out.print(f"[yellow]it will be held then:[/] {freshness.what_is_stale(of)}; {freshness.cure(campaign_id)}")


@campaigns.command()
@click.argument("campaign_id", metavar="ID", type=int)
@gate_options
@pass_context
def start(context: Context, /, campaign_id: int, **said: Any) -> None:
    """Look a campaign over, release it and begin at once. What stops it is told, and it is not released.

    \b
    dispatcher campaigns start 7
    dispatcher campaigns start 7 --despite links --because "the shop opens at nine"
    """
    preflight.release(context, preflight.order(context, campaign_id, said), said)
    heard = broker.nudge_launch(context.settings, campaign_id)
    out.print(f"campaign {campaign_id} starts" + ("" if heard else " at the next tick (the broker does not answer)"))
    out.print(f"next: dispatcher campaigns status {campaign_id} --watch")


@campaigns.command()
@click.argument("campaign_id", metavar="ID", type=int)
@pass_context
def pause(context: Context, campaign_id: int) -> None:
    """Hold a running campaign: no further letter passes the gate."""
    with context.engine.begin() as conn:
        life.pause(conn, campaign_id)
    out.print(f"campaign {campaign_id} is paused; `campaigns resume {campaign_id}` goes on where it stopped")


@campaigns.command()
@click.argument("campaign_id", metavar="ID", type=int)
@click.option("--with-old-prices", is_flag=True, help="However old its prices are or get.")
@pass_context
def resume(context: Context, campaign_id: int, with_old_prices: bool) -> None:
    """Go on with a paused campaign, where it stopped."""
    with context.engine.begin() as conn:
        release.resume(conn, campaign_id, clock.now(conn), with_old_prices=with_old_prices)
    broker.nudge_drains(context.settings, 0, 16, 16)
    out.print(f"campaign {campaign_id} goes on")


@campaigns.command()
@click.argument("campaign_id", metavar="ID", type=int)
@click.option("--content", "file", type=click.Path(path_type=Path), help="A Markdown file; without: what was put in.")
@click.option("--version", "read", type=int, help="Which version you read; needed where the newest is not yours.")
@gate_options
@pass_context
def replace(context: Context, /, campaign_id: int, file: Path | None, **said: Any) -> None:
    """Put other content into a draft, a scheduled or a paused campaign, looked over and released as the old one was.

    Of one under way, whoever was not served gets the new letter; one that was held for its prices goes on.

    \b
    dispatcher campaigns replace 7 --content news.de.md
    """
    by = preflight.actor(context, said["by"])
    contents = read_contents(file)[1] if file is not None else None
    with context.engine.begin() as conn:
        if contents is not None:
            saving.require_read(conn, campaign_id, revisions.version_read(conn, campaign_id, said["read"], by))
            of = release.replace(conn, campaign_id, contents, by, context.house, clock.now(conn))
        else:
            of = life.get(conn, campaign_id)
        again = gate.as_before(conn, of, by)
    if again is not None:
        of = preflight.release(context, preflight.despite(again, said), said).campaign
    elif contents is None:
        raise InputRefused(f"campaign {campaign_id} is {of.state}: nothing of it waits to be released", "add --content")
    what = f"has new content in {' and '.join(contents)}" if contents else f"is released in version {of.version}"
    out.print(f"campaign {campaign_id} {what}; it is {of.state}")
    if of.state is CampaignState.SENDING:
        broker.nudge_drains(context.settings, 0, 16, 16)
    elif of.state is CampaignState.PAUSED:
        out.print(f"next: dispatcher campaigns resume {campaign_id}")


@campaigns.command()
@click.argument("campaign_id", metavar="ID", type=int)
@pass_context
def cancel(context: Context, campaign_id: int) -> None:
    """End a campaign for good: what has not passed the gate never will."""
    with context.engine.begin() as conn:
        life.cancel(conn, campaign_id, clock.now(conn))
    out.print(f"campaign {campaign_id} is cancelled; `campaigns missing {campaign_id}` names who did not get it")


@campaigns.command()
@click.argument("campaign_id", metavar="ID", type=int)
@click.argument("per_minute", metavar="N|none")
@pass_context
def rate(context: Context, campaign_id: int, per_minute: str) -> None:
    """Let at most N letters of a campaign go a minute, over all workers; also while it sends.

    \b
    dispatcher campaigns rate 7 600
    dispatcher campaigns rate 7 none
    """
    letters = read_rate(per_minute)
    with context.engine.begin() as conn:
        life.set_rate(conn, campaign_id, letters)
    out.print(f"campaign {campaign_id} sends {show_rate(letters)}")


@campaigns.command("list")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show the newest 50 campaigns."""
    with reading(context.engine).connect() as conn:
        found = life.newest(conn)
    if as_json:
        print_json({"campaigns": [asdict(of) | {"filter": filter_json(of.filter)} for of in found]})
        return
    table = make_table("id", "state", "topic", "audience", "send at (UTC)", "name", right=("id", "audience"))
    for of in found:
        at = f"{of.send_at:%Y-%m-%d %H:%M}" if of.send_at else ""
        table.add_row(
            str(of.id), of.state, of.topic, f"{of.audience:,}" if of.audience is not None else "", at, escape(of.name)
        )
    out.print(table if found else "no campaigns yet; `dispatcher campaigns create --help` shows how to begin")


@campaigns.command()
@click.argument("campaign_id", metavar="ID", type=int)
@click.option("--watch", is_flag=True, help="Follow it until it ends.")
@click.option(
    "--by", type=click.Choice([by.value for by in By]), help="Also show the figures of each provider or relay."
)
@click.option("--json", "as_json", is_flag=True)
@pass_context
def status(context: Context, campaign_id: int, watch: bool, by: str | None, as_json: bool) -> None:
    """Count a campaign: audience = sent + deferred + failed + unknown + withheld + remaining.

    Below the figures: who wrote it, who released it, and what they answered for.

    \b
    dispatcher campaigns status 7 --watch
    dispatcher campaigns status 7 --by provider
    """
    if watch and not as_json:
        watch_status(context.engine, campaign_id)
    with reading(context.engine).connect() as conn:
        of = life.get(conn, campaign_id)
        counted = accounts.status(conn, of, clock.now(conn))
        parts = shares(conn, of, By(by)) if by else []
        trial = subjects.report(conn, of, clock.now(conn))
        written, signed = authors.versions(conn, campaign_id), authors.signatures(conn, campaign_id)
    if as_json:
        print_json(
            asdict(counted)
            | {"filter": filter_json(of.filter)}
            | {"written": [signatures.version_json(one) for one in written]}
            | {"releases": [signatures.release_json(one) for one in signed]}
            | {"trial": trials.to_json(trial) if trial is not None else None}
            | ({f"by_{by}": [asdict(part) for part in parts]} if by else {})
        )
        return
    show_status(of, counted)
    with reading(context.engine).connect() as conn:
        show_filter(conn, of)
    if trial is not None:
        trials.show(trial)
    signatures.show(written, signed)
    if by:
        show_shares(by, parts)


@campaigns.command()
@click.argument("campaign_id", metavar="ID", type=int)
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, safe to open in a spreadsheet.")
@pass_context
def missing(context: Context, campaign_id: int, as_csv: bool) -> None:
    """Name who did not get it, and why."""
    with reading(context.engine).connect() as conn:
        of = life.get(conn, campaign_id)
        if of.audience is None:
            raise NotFound(
                f"campaign {campaign_id} is {of.state}: its audience was never frozen", "nobody was written to"
            )
        people = missing_people.everyone(conn, of)
        if of.is_launching:
            err.print("it is still being launched: whoever is yet to be added to the audience is not named here")
        if as_csv:
            writer = csv.writer(sys.stdout)
            writer.writerow(["email", "outcome", "reason"])
            writer.writerows([guarded(p.address), p.outcome, guarded(p.reason)] for p in people)
            return
        table = make_table("address", "outcome", "reason")
        for p in people:
            table.add_row(escape(p.address), p.outcome, escape(p.reason))
    out.print(table if table.row_count else "nobody is missing")


@campaigns.command("test-send")
@click.argument("campaign_id", metavar="ID", type=int)
@click.option("--to", "address", required=True, help="A colleague's address.")
@pass_context
def test_send(context: Context, campaign_id: int, address: str) -> None:
    """Send one copy, with a made-up name, to a colleague. It is not counted, and its links lead to nobody."""
    with reading(context.engine).connect() as conn:
        of = life.get(conn, campaign_id)
        parcel = proof.test_parcel(conn, of, parse_address(address), context.stationery, context.house, clock.now(conn))
    relay, verdict = asyncio.run(proof.send_test(houses.relays(context.settings), parcel))
    if not isinstance(verdict, Sent):
        said = verdict.reply if isinstance(verdict, Deferred | Refused) else verdict.why
        raise InputRefused(f"{relay.name} did not take it: {said}", "see `dispatcher doctor`")
    out.print(f"{relay.name} took it: {verdict.reply}", markup=False)


@campaigns.command()
@click.argument("campaign_id", metavar="ID", type=int)
@click.option("--for", "address", required=True, help="The subscriber through whose eyes to look.")
@click.option("--text", "form", flag_value="text", help="The plain text part.")
@click.option("--html", "form", flag_value="html", help="The HTML part.")
@click.option("--raw", "form", flag_value="raw", default=True, help="The whole message as it goes out.")
@click.option("--subject", default="A", help="Of a trial: A, B, C or D.")
@pass_context
def preview(context: Context, campaign_id: int, address: str, form: str, subject: str) -> None:
    """Print the letter as one recipient will get it.

    \b
    dispatcher campaigns preview 7 --for maria@example.de --html > letter.html
    """
    with reading(context.engine).connect() as conn:
        of = life.get(conn, campaign_id)
        now = clock.now(conn)
        press = proof.press_for(conn, of, context.stationery, context.house, tried.read_letter(subject))
        to = proof.recipient_for(conn, of, address, context.stationery)
    match form:
        case "text":
            sys.stdout.write(press.plain(to, now))
        case "html":
            sys.stdout.write(press.page(to, now))
        case _:
            sys.stdout.buffer.write(press.letter(to, now).body)
            sys.stdout.buffer.flush()


for _command in (audience.count, revisions.contents, revisions.edit, revisions.take_back, trials.choose):
    campaigns.add_command(_command)
