"""`dispatcher up`: everything that this machine runs."""

import click

from dispatcher.cli.context import PORTS, Context, out, pass_context
from dispatcher.cli.people import first_link
from dispatcher.db import engine, migrate
from dispatcher.observe import logs
from dispatcher.worker.stop import Stop
from dispatcher.worker.supervisor import House, require_free_ports


@click.command()
@click.option("--port", default=PORTS.web, show_default=True, help="Port of the pages.")
@click.option("--mail-port", default=PORTS.mail, show_default=True, help="Port of the mail catcher's pages.")
@click.option("--smtp-port", default=PORTS.smtp, show_default=True, help="Port of the mail catcher.")
@pass_context
def up(context: Context, port: int, mail_port: int, smtp_port: int) -> None:
    """Run everything on this machine.

    Broker, web, worker and mail catcher; what dies is started again.

    The broker is started only without DISPATCHER_BROKER_URL, the mail catcher only without DISPATCHER_SMTP_URL.
    """
    settings = context.settings
    logs.configure(settings.log)
    made = engine.make_engine(settings.database_url)
    engine.check(made)
    if "database" in settings.embedded:
        migrate.upgrade(made)
    context.check()
    catcher_ports = (smtp_port, mail_port) if "smtp" in settings.embedded else None
    require_free_ports(["127.0.0.1"], [port, *(catcher_ports or ())])
    stop = Stop().listen()
    house = House(settings, port, catcher_ports)
    try:
        house.start()
        here = f"http://127.0.0.1:{port}"
        out.print(f"pages   {here}/")
        out.print(f"console {here}/console/")
        if link := first_link(context, here if "pages" in settings.embedded else settings.public_url):
            out.print(
                f"        nobody has an account yet; make the first one here, once, within a day:\n        {link}"
            )
        if catcher_ports:
            out.print(f"mails   http://127.0.0.1:{mail_port}/   (no relay is set: nothing leaves this machine)")
        out.print("Ctrl-C ends everything")
        house.run(stop)
    finally:
        house.end()
