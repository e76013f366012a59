"""`dispatcher campaigns choose`, and trials of subjects as options and on a terminal."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import click
from rich.markup import escape

from dispatcher import broker
from dispatcher.cli import preflight
from dispatcher.cli.context import Context, make_table, out, pass_context
from dispatcher.db import clock
from dispatcher.db.terms import Otherwise
from dispatcher.domain.newsletters import trials
from dispatcher.domain.newsletters.trial_figures import FEWEST
from dispatcher.domain.newsletters.trials import Terms
from dispatcher.sending.subjects import Report, Subject

_FIGURES = ("people", "sent", "failed", "unknown", "left")


def trial_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that enters a draft what says how its subjects are tried."""
    options = [
        click.option("--share", type=int, help="Of a trial: per cent of the audience, all subjects together; 20."),
        click.option("--wait", help="Of a trial: how long it is watched when its letters are out: 90min, 4h, 2d; 4h."),
        click.option(
            "--otherwise",
            type=click.Choice([word.value for word in Otherwise]),
            help="Of a trial: what the rest gets when nothing is clear then: the first, or it waits for you; first.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def terms(said: Mapping[str, Any], stands: Terms | None = None) -> Terms | None:
    """Read what was said of a trial, on top of how it stands; None: nothing was. Raises InputRefused."""
    if all(said[word] is None for word in ("share", "wait", "otherwise")):
        return None
    before = stands or Terms()
    return Terms(
        share=before.share if said["share"] is None else said["share"],
        wait=before.wait if said["wait"] is None else trials.read_wait(said["wait"]),
        otherwise=before.otherwise if said["otherwise"] is None else Otherwise(said["otherwise"]),
    )


@click.command()
@click.argument("campaign_id", metavar="ID", type=int)
@click.argument("subject", metavar="A|B|C|D")
@click.option("--by", help="Who chooses; by default whoever is logged in.")
@pass_context
def choose(context: Context, campaign_id: int, subject: str, by: str | None) -> None:
    """Give the rest of a trial this subject, at once; `campaigns status` shows how each one fares.

    \b
    dispatcher campaigns choose 7 B
    """
    who = preflight.actor(context, by)
    with context.engine.begin() as conn:
        waiting = trials.waiting_people(conn, campaign_id)
        trials.choose(conn, campaign_id, trials.read_letter(subject), who, clock.now(conn))
    broker.nudge_drains(context.settings, 0, 16, 16)
    out.print(f"campaign {campaign_id}: the rest, {waiting:,} people, gets subject {subject.upper()}")


def show(found: Report) -> None:
    """Print a trial: each subject with its figures, and what it waits for."""
    table = make_table("", "subject", *_FIGURES, right=_FIGURES)
    for each in found.subjects:
        mark = f"[bold]{each.letter}[/]" + (" *" if each.letter == found.chosen else "")
        figures = [f"{getattr(each.figures, name):,}" if each.figures is not None else "" for name in _FIGURES]
        table.add_row(mark, escape("\n".join(each.texts.values())), *figures)
    out.print(table)
    if found.chosen is not None:
        how = {
            "hand": "somebody chose it",
            "figures": "clearly fewer withdrew",
            "otherwise": "nothing was clear, and the first that is not clearly worse goes then",
            "few": "there were fewer people than subjects",
        }[found.chosen_by or "hand"]
        out.print(f"the rest gets {found.chosen}, since {found.chosen_at:%Y-%m-%d %H:%M} UTC: {how}")
    if found.waits_for is not None:
        out.print(f"{found.terms.share} % try the subjects; the rest waits for {found.waits_for}")
        out.print(f"the wait: {_span(found.terms.wait)}; if nothing is clear then: {found.terms.otherwise}")
    if found.is_small:
        out.print(f"[yellow]fewer than {FEWEST} people for each subject:[/] its figures prove nothing")


def to_json(found: Report) -> dict[str, Any]:
    """Give a trial as JSON."""
    return {
        "share": found.terms.share,
        "wait_s": int(found.terms.wait.total_seconds()),
        "otherwise": found.terms.otherwise,
        "subjects": [_subject_json(each) for each in found.subjects],
        "until": found.until,
        "waiting": found.waiting,
        "waits_for": found.waits_for,
        "chosen": found.chosen,
        "chosen_at": found.chosen_at,
        "chosen_by": found.chosen_by,
        "is_small": found.is_small,
    }


def _subject_json(each: Subject) -> dict[str, Any]:
    figures = {name: getattr(each.figures, name) if each.figures is not None else None for name in _FIGURES}
    return {"letter": each.letter, "texts": dict(each.texts), **figures}


def _span(wait: timedelta) -> str:
    minutes = int(wait.total_seconds()) // 60
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"
