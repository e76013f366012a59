"""`dispatcher demo`: the main job, on embedded parts, in a minute, with made-up people.

It runs in a house of its own under var/demo, whatever else is set, so it can touch nobody's data.
"""

import shutil
import sys
import threading
from dataclasses import dataclass
from datetime import timedelta
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from sqlalchemy import Engine

from dispatcher import settings as settings_module
from dispatcher.assets import PACKAGE
from dispatcher.db import clock, engine, migrate
from dispatcher.db.clock import steady
from dispatcher.db.engine import reading
from dispatcher.db.terms import CampaignState, SuppressionReason, Topic
from dispatcher.demo import letters, staff
from dispatcher.demo.letters import Plan
from dispatcher.demo.staff import Staff
from dispatcher.domain import consent, imports, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.imports import writing
from dispatcher.domain.imports.writing import Intake
from dispatcher.domain.newsletters import accounts, campaigns, missing
from dispatcher.domain.newsletters.accounts import Status
from dispatcher.domain.people import subscribers
from dispatcher.errors import PartUnavailable
from dispatcher.sending import endings, house
from dispatcher.settings import Ports, Settings
from dispatcher.worker.stop import Stop
from dispatcher.worker.supervisor import House, require_free_ports

_FILES = PACKAGE / "demo"
_FIRST = {Topic.PRODUCT_NEWS: "Neue Barren", Topic.FINANCE_NEWS: "Edelmetalle"}
_LIMIT = 180.0  # seconds that the two campaigns may take before something is clearly wrong
_SLOWLY = 100  # letters a minute of the campaign that the console shows under way


@dataclass(frozen=True, slots=True)
class _Stage:
    settings: Settings
    engine: Engine
    house: House
    out: Console
    ports: Ports
    staff: Staff


def run_demo(ports: Ports, var: Path, out: Console, *, once: bool) -> int:
    """Run the demo; give the exit code: 0 if every letter is accounted for."""
    require_free_ports(["127.0.0.1"], [ports.web, ports.mail, ports.smtp])
    stop = Stop().listen()
    stage = _set_up(ports, var, out)
    try:
        stage.house.start()
        _people(stage)
        letters.await_pages(ports.web, stop.wait)
        sent = [_campaign(stage, topic, name) for topic, name in _FIRST.items()]
        _follow(stage, sent, stop)
        counted = _show(stage, sent)
        verdict = _last_line(stage, counted)
        if not once:
            out.print(verdict, soft_wrap=True)
            _stay(stage, stop)
    finally:
        stage.house.end()
        stage.engine.dispose()
    if once:
        out.print(verdict, soft_wrap=True)
    return 0 if verdict.endswith(" 0 unknown, 0 lost") else 1


def _set_up(ports: Ports, var: Path, out: Console) -> _Stage:
    home = (var / "demo").resolve()
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    config = home / "dispatcher.toml"
    config.write_text(
        f'var = "{home}"\npublic_url = "http://127.0.0.1:{ports.web}"\n'
        f'smtp_url = "smtp://127.0.0.1:{ports.smtp}?tls=none&lanes=16"\nconsole_totp = "off"\n'
        'internal_hosts = "127.0.0.1"\n',
        encoding="utf-8",
    )
    settings = settings_module.load({"DISPATCHER_CONFIG": str(config)}, home)
    made = endings.keep(engine.make_engine(settings.database_url), endings.file_of(settings))
    migrate.upgrade(made)
    with made.begin() as conn:
        house.remember_keys(conn, house.keyring(settings), clock.now(conn))
    out.print(f"[bold]dispatcher demo[/]  embedded parts under {home}")
    return _Stage(
        settings, made, House(settings, ports.web, (ports.smtp, ports.mail), config), out, ports, staff.add(made)
    )


def _people(stage: _Stage) -> None:
    """Import the sample people; some of them then leave, some are suppressed."""
    ring = house.keyring(stage.settings)
    path = _FILES / "people.csv"
    intake = Intake("demo: people.csv")
    with _progress(stage.out) as bar, path.open("rb") as file:
        work = bar.add_task("importing people", total=1000)
        with stage.engine.begin() as conn:
            now = clock.now(conn)
            for chunk in writing.chunks(imports.read_rows(file, ring, now)):
                writing.take(conn, chunk, intake, now, dry_run=False)
                bar.update(work, completed=intake.tally.rows)
            for address in _addresses("withdrawn.txt"):
                person = subscribers.by_hash(conn, address_hash(ring, parse_address(address)))
                assert person is not None
                topics = list(consent.standing(conn, person.id))
                consent.withdraw(conn, person.id, topics, Evidence(source="demo: withdrawn.txt"), now)
            hashes = [address_hash(ring, parse_address(a)) for a in _addresses("suppressed.txt")]
            suppression.suppress(conn, hashes, None, SuppressionReason.COMPLAINT, "demo: suppressed.txt", now)
    words = ", ".join(f"{count} {fate}" for fate, count in intake.tally.counts.items() if count)
    stage.out.print(
        f"people    {intake.tally.rows:,} imported: {words}; then {len(_addresses('withdrawn.txt'))} withdrew,"
        f" {len(hashes)} were suppressed"
    )


def _campaign(stage: _Stage, topic: Topic, name: str, **more: Any) -> int:
    """Have a newsletter written and released."""
    return letters.send(stage.engine, stage.settings, stage.staff, Plan(topic, name, **more))


def _follow(stage: _Stage, ids: list[int], stop: Stop) -> None:
    """Show bars until every campaign is sent. Raises PartUnavailable when one hangs."""
    until = steady() + _LIMIT
    with _progress(stage.out) as bar:
        works = {campaign_id: bar.add_task(_name(stage, campaign_id), total=None) for campaign_id in ids}
        while not stop.wait(0.1):
            stage.house.look_after()
            counted = {campaign_id: _status(stage, campaign_id) for campaign_id in ids}
            for campaign_id, now in counted.items():
                done = now.audience - now.remaining
                bar.update(works[campaign_id], total=now.audience or None, completed=done)
            if all(now.state is CampaignState.SENT for now in counted.values()):
                return
            if steady() > until:
                log = stage.settings.var / "programs.log"
                raise PartUnavailable("the campaigns did not end in time", f"look into {log}")
    raise PartUnavailable("ended before the campaigns did", "let it run")


def _show(stage: _Stage, ids: list[int]) -> list[Status]:
    counted = [_status(stage, campaign_id) for campaign_id in ids]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("campaign")
    figures = ("audience", "sent", "withheld", "failed", "deferred", "unknown", "remaining")
    for figure in figures:
        table.add_column(figure, justify="right", no_wrap=True)
    for campaign_id, one in zip(ids, counted, strict=True):
        cells = [f"{getattr(one, figure):,}" for figure in figures]
        table.add_row(_name(stage, campaign_id), *cells)
    stage.out.print(table)
    return counted


def _last_line(stage: _Stage, counted: list[Status]) -> str:
    """Hold the ledger against the mailbox: who is in neither, or in the ledger only, is lost."""
    taken = _taken(stage.settings.var / "mails")
    sent = sum(one.sent for one in counted)
    unaccounted = sum(one.remaining + one.deferred for one in counted)
    return (
        f"demo: {len(counted)} campaigns sent, {sent} delivered, {sum(one.withheld for one in counted)} withheld,"
        f" {sum(one.unknown for one in counted)} unknown, {unaccounted + max(sent - len(taken), 0)} lost"
    )


def _stay(stage: _Stage, stop: Stop) -> None:
    """Stay up until Ctrl-C; Enter sends one more campaign, so that one can see whom it passes by."""
    out, ports = stage.out, stage.ports
    _campaign(stage, Topic.PRODUCT_NEWS, "Sortiment, in Ruhe", rate_per_min=_SLOWLY)
    _campaign(stage, Topic.SPECIAL_OFFERS, "Angebote der Woche", ahead=timedelta(days=1))
    letters.plan_ahead(stage.engine, stage.settings, stage.staff)
    out.print(f"\nread the mails    http://127.0.0.1:{ports.mail}/")
    out.print(f"sign up           http://127.0.0.1:{ports.web}/")
    out.print(f"console           http://127.0.0.1:{ports.web}/console/")
    out.print(f"                  {staff.ADMIN}   password: {stage.staff.password}", markup=False)
    out.print(f"by hand           DISPATCHER_CONFIG={stage.house.config} {sys.argv[0]} campaigns list")
    out.print("\nOpen a mail and click “Abmelden”. Then press Enter here: the next campaign passes that person by.")
    out.print("Ctrl-C ends everything.\n")
    asked = threading.Event()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    while not stop.wait(0.2):
        stage.house.look_after()
        if asked.is_set():
            asked.clear()
            campaign_id = _campaign(stage, Topic.FINANCE_NEWS, _FIRST[Topic.FINANCE_NEWS])
            _follow(stage, [campaign_id], stop)
            _show(stage, [campaign_id])
            _show_newly_withheld(stage, campaign_id)


def _show_newly_withheld(stage: _Stage, campaign_id: int) -> None:
    with reading(stage.engine).connect() as conn:
        people = list(missing.everyone(conn, campaigns.get(conn, campaign_id)))
    before = {parse_address(address).mail for address in _addresses("withdrawn.txt")}
    for one in people:
        if one.reason == "withdrew the consent" and one.address not in before:
            stage.out.print(f"passed by: {one.address}: {one.reason}")


def _listen(asked: threading.Event) -> None:
    for _ in sys.stdin:
        asked.set()


def _status(stage: _Stage, campaign_id: int) -> Status:
    with reading(stage.engine).connect() as conn:
        return accounts.status(conn, campaigns.get(conn, campaign_id), clock.now(conn))


def _name(stage: _Stage, campaign_id: int) -> str:
    with reading(stage.engine).connect() as conn:
        return campaigns.get(conn, campaign_id).name


def _taken(folder: Path) -> set[str]:
    parser = BytesHeaderParser()
    taken = set()
    for path in folder.glob("*.eml"):
        with path.open("rb") as file:
            taken.add(str(parser.parse(file)["Message-ID"]))
    return taken


def _addresses(name: str) -> list[str]:
    lines = (_FILES / name).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _progress(out: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=out,
        transient=True,
    )
