"""`dispatcher demo`, and the mail catcher that it and `dispatcher up` use."""

import asyncio
import sys
from pathlib import Path

import click

from dispatcher.cli.context import PORTS, Context, out, pass_context
from dispatcher.demo import catcher as catcher_module
from dispatcher.demo.show import run_demo
from dispatcher.observe import logs
from dispatcher.settings import Ports
from dispatcher.worker.supervisor import require_free_ports


@click.command()
@click.option("--once", is_flag=True, help="End after the table.")
@click.option("--port", default=PORTS.web, show_default=True, help="Port of the pages.")
@click.option("--mail-port", default=PORTS.mail, show_default=True, help="Port of the mailbox.")
@click.option("--smtp-port", default=PORTS.smtp, show_default=True, help="Port of the mail catcher.")
def demo(once: bool, port: int, mail_port: int, smtp_port: int) -> None:
    """See it work, in a minute.

    1,000 made-up people, two campaigns, every mail in the browser. Touches nothing but var/demo.
    """
    logs.configure("auto", level=30)
    sys.exit(run_demo(Ports(port, mail_port, smtp_port), Path("var"), out, once=once))


@click.command()
@click.option("--smtp-port", default=PORTS.smtp, show_default=True)
@click.option("--port", default=PORTS.mail, show_default=True)
@pass_context
def catcher(context: Context, smtp_port: int, port: int) -> None:
    """Take every mail, deliver none.

    An SMTP server on this machine only, whose mails are read in the browser.
    """
    logs.configure(context.settings.log)
    require_free_ports(["127.0.0.1"], [smtp_port, port])
    asyncio.run(catcher_module.run_catcher(context.settings.var / "mails", smtp_port, port))
