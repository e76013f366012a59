"""`dispatcher campaigns check`, and the gate that `schedule` and `start` go through."""

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import groupby
from typing import Any

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dispatcher.cli.context import Context, err, out, print_json
from dispatcher.db.terms import Language
from dispatcher.domain.staff import audit
from dispatcher.domain.staff.audit import Actor
from dispatcher.errors import InputRefused
from dispatcher.sending import house as houses
from dispatcher.sending.preflight import findings, gate
from dispatcher.sending.preflight.findings import Finding, Severity
from dispatcher.sending.preflight.gate import Order, Released
from dispatcher.sending.preflight.report import Report

STOPPED = 3  # exit code: something stops the campaign
_COLOURS = {Severity.STOP: "red", Severity.WARN: "yellow", Severity.NOTE: "cyan"}


def gate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that releases what it needs: despite what, why, and in whose name."""
    options = [
        click.option("--despite", multiple=True, metavar="CHECK", help="Release it although this check stops it."),
        click.option("--because", default="", help="Why; it is written down with the release."),
        click.option("--by", help="Who answers for it; by default whoever is logged in."),
        click.option(
            "--lang",
            type=click.Choice([language.value for language in Language]),
            default="en",
            help="The language of findings.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def check_campaign(context: Context, campaign_id: int, language: Language, *, as_json: bool) -> None:
    """Look a campaign over, tell what was found, and end with STOPPED if something stops it."""
    with _bars() as progress:
        report = gate.look(context.engine, campaign_id, houses.desk(context.settings), progress=progress)
    if as_json:
        print_json(to_json(report))
    else:
        show(report, language)
    if report.stops():
        sys.exit(STOPPED)


def order(context: Context, campaign_id: int, said: dict[str, Any], **how: Any) -> Order:
    """Put together what is to be released, how (at once, where nothing is said), and by whom despite what."""
    at_once: dict[str, Any] = {"at": None, "zone": "UTC", "by": actor(context, said["by"]), "despite": {}}
    return despite(Order(campaign_id, **(at_once | how)), said)


def despite(order: Order, said: dict[str, Any]) -> Order:
    """Give the order with what somebody answers for."""
    return replace(order, despite=dict.fromkeys(said["despite"], said["because"]))


def release(context: Context, order: Order, said: dict[str, Any]) -> Released:
    """Release a campaign through the gate; what stops it is told, and the command ends."""
    with _bars() as progress:
        came = gate.release_campaign(context.engine, order, houses.desk(context.settings), progress)
    show(came.report, Language(said["lang"]), least=Severity.WARN)
    if isinstance(came, Released):
        return came
    checks = " ".join(f"--despite {check}" for check in sorted({f.check for f in came.report.stops(order.despite)}))
    err.print(f"[bold red]error:[/] campaign {order.campaign_id} is not released: see what stops it above")
    err.print(f"[bold]  cure:[/] mend it, or answer for it: {checks} --because REASON")
    sys.exit(STOPPED)


def actor(context: Context, name: str | None) -> Actor:
    """Say who acts at the command line: as told, or whoever is logged in; with four eyes it has to be told."""
    if name is None and context.settings.four_eyes:
        raise InputRefused("it is not said who acts, and DISPATCHER_FOUR_EYES is on", "add --by NAME")
    try:
        found = name if name is not None else getpass.getuser()
    except (OSError, KeyError):
        found = ""
    if not found.strip() or not found.isprintable():
        raise InputRefused("it is not said who acts", "add --by NAME")
    return audit.operator(found.strip()[:200])


def show(report: Report, language: Language, least: Severity = Severity.NOTE) -> None:
    """Print findings down to a severity, and a line that counts them."""
    order = list(Severity)
    shown = [finding for finding in report.findings if order.index(finding.severity) <= order.index(least)]
    for _, alike in groupby(shown, key=lambda finding: (finding.severity, finding.check, finding.name)):
        _show_alike(list(alike), language)
    counts = ", ".join(f"{report.count(severity)} {severity}" for severity in Severity)
    out.print(f"campaign {report.campaign_id}: {report.people:,} letters composed; {counts}")


def to_json(report: Report) -> dict[str, Any]:
    """Give a report for scripts, with the words of each language."""
    return {
        "campaign": report.campaign_id,
        "at": report.at,
        "goes_at": report.goes_at,
        "people": report.people,
        "stops": bool(report.stops()),
        "findings": [
            {
                **finding.to_json(),
                "said": {language.value: asdict(finding.say(language)) for language in Language},
            }
            for finding in report.findings
        ],
    }


def _show_alike(alike: list[Finding], language: Language) -> None:
    """What was found in each place; why it matters and the cure once."""
    first = alike[0]
    colour, title = _COLOURS[first.severity], findings.title(first.check, language)
    told = [finding.say(language) for finding in alike]
    out.print(f"[{colour}]{first.severity:<4}[/] [bold]{escape(title)}[/] · {escape(told[0].why)}")
    for said in told:
        out.print(f"     {escape(said.where)} · {escape(said.what)}")
    for cure in dict.fromkeys(said.cure for said in told):
        out.print(f"     → {escape(cure)}")


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """Show on a terminal which check is under way, and how far."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        works: dict[str, Any] = {}

        def progress(check: str, done: int, total: int) -> None:
            if check not in works:
                works[check] = bar.add_task(check, total=total or None)
            bar.update(works[check], completed=done, total=total or None)

        yield progress
