"""`dispatcher up | web | worker | demo | doctor | catcher`: the programs."""

import asyncio
import sys
from pathlib import Path

import click

from dispatcher import broker
from dispatcher.cli import health
from dispatcher.cli.context import Context, make_table, out, pass_context, print_json
from dispatcher.db import engine, migrate
from dispatcher.demo import catcher as catcher_module
from dispatcher.demo.show import Ports, run_demo
from dispatcher.observe import logs
from dispatcher.web.app import create_app
from dispatcher.web.server import serve
from dispatcher.worker import watch
from dispatcher.worker.stop import Stop
from dispatcher.worker.supervisor import House, require_free_ports

_PORTS = Ports()


@click.command()
@click.option("--port", default=_PORTS.web, show_default=True, help="Port of the pages.")
@click.option("--mail-port", default=_PORTS.mail, show_default=True, help="Port of the mail catcher's pages.")
@pass_context
def up(context: Context, port: int, mail_port: int) -> None:
    """Run everything on this machine, restart what dies: broker, web, worker, mail catcher.

    The broker is started only without DISPATCHER_BROKER_URL, the mail catcher only without DISPATCHER_SMTP_URL.
    """
    settings = context.settings
    logs.configure(settings.log)
    made = engine.make_engine(settings.database_url)
    engine.check(made)
    if "database" in settings.embedded:
        migrate.upgrade(made)
    context.check()
    catcher_ports = (_PORTS.smtp, mail_port) if "smtp" in settings.embedded else None
    require_free_ports(["127.0.0.1"], [port, *(catcher_ports or ())])
    stop = Stop().listen()
    house = House(settings, port, catcher_ports)
    try:
        house.start()
        out.print(f"pages   http://127.0.0.1:{port}/")
        if catcher_ports:
            out.print(f"mails   http://127.0.0.1:{mail_port}/   (no relay is set: nothing leaves this machine)")
        out.print("Ctrl-C ends everything")
        house.run(stop)
    finally:
        house.end()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=_PORTS.web, show_default=True)
@pass_context
def web(context: Context, host: str, port: int) -> None:
    """Serve the pages: sign-up, confirmation, unsubscribe, preferences."""
    settings = context.settings
    logs.configure(settings.log)
    require_free_ports([host], [port])
    app = create_app(settings, context.engine, lambda campaign_id: _nudge(context, campaign_id))
    serve(app, host, port)


@click.command()
@click.option("--concurrency", type=int, help="Processes that send campaigns; default: one a core, with SQLite one.")
@click.option("--celery", "name", hidden=True, help="Run one Celery worker (used by `worker` itself).")
@click.option("--queues", default="", hidden=True)
@pass_context
def worker(context: Context, concurrency: int | None, name: str | None, queues: str) -> None:
    """Send: Celery workers, and the tick that looks after schedules, retries and dead leases."""
    logs.configure(context.settings.log)
    context.check()
    if name:
        watch.run_celery(context.settings, name, queues.split(","), concurrency or 1)
    else:
        watch.run_worker(context.settings, concurrency)


@click.command()
@click.option("--once", is_flag=True, help="End after the table.")
@click.option("--port", default=_PORTS.web, show_default=True, help="Port of the pages.")
@click.option("--mail-port", default=_PORTS.mail, show_default=True, help="Port of the mailbox.")
@click.option("--smtp-port", default=_PORTS.smtp, show_default=True, help="Port of the mail catcher.")
def demo(once: bool, port: int, mail_port: int, smtp_port: int) -> None:
    """See it work: 1,000 made-up people, two campaigns, every mail in the browser. Touches nothing but var/demo."""
    logs.configure("auto", level=30)
    sys.exit(run_demo(Ports(port, mail_port, smtp_port), Path("var"), out, once=once))


@click.command()
@click.option("--smtp-port", default=_PORTS.smtp, show_default=True)
@click.option("--port", default=_PORTS.mail, show_default=True)
@pass_context
def catcher(context: Context, smtp_port: int, port: int) -> None:
    """Take every mail, deliver none, show them in the browser. On this machine only."""
    logs.configure(context.settings.log)
    require_free_ports(["127.0.0.1"], [smtp_port, port])
    asyncio.run(catcher_module.run_catcher(context.settings.var / "mails", smtp_port, port))


@click.command()
@click.option("--quick", is_flag=True, help="Only database and broker: for health checks.")
@click.option("--json", "as_json", is_flag=True)
def doctor(quick: bool, as_json: bool) -> None:
    """Look at every part and say what is wrong and what to do. Exit code 1 if anything is."""
    findings = health.examine(quick=quick)
    well = all(finding.is_well for finding in findings)
    if as_json:
        parts = [{"part": f.part, "well": f.is_well, "says": f.says, "cure": f.cure} for f in findings]
        print_json({"well": well, "parts": parts})
    else:
        table = make_table("part", "", "")
        for f in findings:
            table.add_row(f.part, "[green]well[/]" if f.is_well else "[red]not well[/]", f.says)
            if f.cure and not f.is_well:
                table.add_row("", "[bold]cure[/]", f.cure)
        out.print(table)
    sys.exit(0 if well else 1)


def _nudge(context: Context, campaign_id: int) -> None:
    broker.nudge_launch(context.settings, campaign_id)
