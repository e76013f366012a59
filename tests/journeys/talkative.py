"""A relay that repeats the recipient's address in everything it says, as many do."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from dispatcher.worker import supervisor
from tests.journeys.house import RunningHouse, free_port
from tests.relay import Accepted, Act, Ask, ScriptedRelay, say


class TalkativeRelay:
    """`refusal` None: every letter is taken; else what is said to RCPT, with `{}` for the address."""

    def __init__(self) -> None:
        self.refusal: str | None = None
        self._relay = ScriptedRelay(script=self._act)

    def __enter__(self) -> Self:
        self._relay.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._relay.__exit__(kind, error, trace)

    def url(self, **options: str | int) -> str:
        return self._relay.url(**options)

    def accepted(self) -> list[Accepted]:
        return list(self._relay.accepted)

    def _act(self, ask: Ask) -> Act | None:
        if ask.verb == "DOT":
            return say(f"250 2.0.0 Ok: letter to <{ask.recipient}> queued as 4XK21")
        if ask.verb == "RCPT" and self.refusal is not None:
            return say(self.refusal.format(ask.recipient))
        return None


def open_house_with(
    relay: TalkativeRelay | ScriptedRelay, tmp_path: Path, database_url: str, stack: ExitStack
) -> RunningHouse:
    """Open a house that sends over this relay."""
    house = RunningHouse(tmp_path, database_url, stack.enter_context(relay), web_port=free_port(), lanes=2)
    house.broker = supervisor.House(house.settings, 0, None).programs[0]
    house.broker.start()
    stack.callback(house.end_broker)
    stack.callback(house.end)
    return house
