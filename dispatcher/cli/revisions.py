"""`dispatcher campaigns contents`, `edit` and `take-back`: what was written, saved anew."""

import sys
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection

from dispatcher.cli import preflight, signatures, trials
from dispatcher.cli.audience import filter_json, filter_options, said_filter
from dispatcher.cli.content_files import read_contents
from dispatcher.cli.context import Context, out, pass_context, print_json
from dispatcher.cli.trials import trial_options
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language
from dispatcher.domain.newsletters import authors
from dispatcher.domain.newsletters import campaigns as life
from dispatcher.domain.newsletters import trials as tried
from dispatcher.domain.newsletters.revisions import Revision
from dispatcher.domain.staff import audit
from dispatcher.domain.staff.audit import Actor, Deed
from dispatcher.errors import InputRefused, NotFound
from dispatcher.sending import release


@click.command()
@click.argument("campaign_id", metavar="ID", type=int)
@click.option(
    "--lang",
    type=click.Choice([language.value for language in Language]),
    help="Which letter; by default the one for whoever speaks none of the others.",
)
@click.option("--json", "as_json", is_flag=True, help="Every language, and who wrote which version.")
@pass_context
def contents(context: Context, campaign_id: int, lang: str | None, as_json: bool) -> None:
    """Print what was written, as it was given.

    \b
    dispatcher campaigns contents 7 > news.de.md
    """
    with reading(context.engine).connect() as conn:
        of = life.get(conn, campaign_id)
        written = life.contents(conn, campaign_id)
        versions = authors.versions(conn, campaign_id)
    if as_json:
        files = {language: {"file": file, "source": source} for language, (file, source) in written.items()}
        who = [signatures.version_json(one) for one in versions]
        narrowed = filter_json(of.filter)
        print_json(
            {
                "version": of.version,
                "subject": of.subject,
                "name": of.name,
                "filter": narrowed,
                "contents": files,
                "written": who,
            }
        )
        return
    language = Language(lang) if lang else of.default_language
    if language not in written:
        raise NotFound(f"campaign {campaign_id} has no letter in {language}", f"there are: {', '.join(written)}")
    sys.stdout.write(written[language][1])


@click.command()
@click.argument("campaign_id", metavar="ID", type=int)
@click.option("--content", "file", type=click.Path(path_type=Path), help="A Markdown file, in place of all languages.")
@click.option("--subject", help="Another subject.")
@click.option("--name", help="Another name of yours for it.")
@click.option("--version", "read", type=int, help="Which version you read; needed where the newest is not yours.")
@click.option("--by", help="Who writes it; by default whoever is logged in.")
@filter_options
@click.option("--everybody", is_flag=True, help="Take the filter away: for everybody who agreed.")
@trial_options
@pass_context
def edit(context: Context, /, campaign_id: int, file: Path | None, **said: Any) -> None:
    """Save a draft anew. What somebody else saved since you read it is not overwritten: you are told who.

    \b
    dispatcher campaigns edit 7 --content news.de.md
    dispatcher campaigns edit 7 --subject "Gold in KW 49" --version 3
    dispatcher campaigns edit 7 --only language=de --without provider=google
    """
    wanted = said_filter(said)
    is_silent = all(said[word] is None for word in ("subject", "name", "share", "wait", "otherwise"))
    if file is None and wanted is None and is_silent:
        raise InputRefused(
            "nothing is said that is to be another", "add --content, --subject, --name, --only or --share"
        )
    by = preflight.actor(context, said["by"])
    written = None
    if file is not None:
        default, found = read_contents(file)
        written = {default: found[default], **found}
    with context.engine.begin() as conn:
        now = clock.now(conn)
        read = version_read(conn, campaign_id, said["read"], by)
        revision = Revision(read, by, said["subject"], said["name"], written, filter=wanted)
        stands = tried.find(conn, campaign_id)
        terms = trials.terms(said, stands.terms if stands is not None else None)
        saved = release.edit(conn, campaign_id, revision, context.house, now, terms)
        audit.record(conn, by, Deed("campaigns.edit", "campaign", campaign_id, {"version": saved}), now)
    out.print(f"campaign {campaign_id} is saved as version {saved}")
    out.print(f"next: dispatcher campaigns check {campaign_id}")


@click.command("take-back")
@click.argument("campaign_id", metavar="ID", type=int)
@click.option("--because", required=True, help="Why; it is written down with the release.")
@click.option("--by", help="Who takes it back; by default whoever is logged in.")
@pass_context
def take_back(context: Context, campaign_id: int, because: str, by: str | None) -> None:
    """Make a scheduled campaign a draft again, to be edited. Its release ends with the reason.

    \b
    dispatcher campaigns take-back 7 --because "the price of silver is wrong"
    """
    who = preflight.actor(context, by)
    with context.engine.begin() as conn:
        now = clock.now(conn)
        release.take_back(conn, campaign_id, because, who, now)
        audit.record(conn, who, Deed("campaigns.take_back", "campaign", campaign_id), now)
    out.print(f"campaign {campaign_id} is a draft again; nothing was sent")


def version_read(conn: Connection, campaign_id: int, said: int | None, by: Actor) -> int:
    """Give which version an editor has read: the one they say, or the newest if they saved it. Raises InputRefused."""
    of = life.get(conn, campaign_id)
    if said is not None:
        return said
    newest = authors.versions(conn, campaign_id, limit=1)
    if newest and newest[0].version == of.version and newest[0].by.is_same(authors.who(conn, by)):
        return of.version
    name = (newest[0].by.name if newest else None) or "somebody else"
    raise InputRefused(
        f"version {of.version} of campaign {campaign_id} was saved by {name}, and it is not said that you read it",
        f"look at it (dispatcher campaigns contents {campaign_id}), then add --version {of.version}",
    )
