"""What a relay may do wrong to a whole campaign, as a table: each row ends with everyone accounted for."""

from dataclasses import dataclass, field

from tests.relay_script import Act, accept_then_drop, drop, say, stall, tarpit
from tests.torture.witness import Fault, Weather

LEASE = 1.0
_GOING_DOWN = say("421 4.3.2 going down", close=True)
_BUSY, _GREY = say("451 4.3.0 busy"), say("450 4.7.1 greylisted")


@dataclass(frozen=True)
class Case:
    """A row: `waits` are options of the relay's URL; `refuses`: some people, for good."""

    name: str
    faults: tuple[Fault, ...]
    waits: dict[str, float] = field(default_factory=dict)
    refuses: bool = False
    is_key: bool = False  # runs in the short form too

    @property
    def weather(self) -> Weather:
        return Weather(self.faults, delay=0.001)


CASES = [
    Case("refused at the door", (Fault("BANNER", say("554 5.7.1 we do not know you", close=True), most=6),)),
    Case("421 at the banner", (Fault("BANNER", _GOING_DOWN, most=6),)),
    *(Case(f"421 at {verb}", (Fault(verb, _GOING_DOWN, share=0.04),)) for verb in ("EHLO", "MAIL", "RCPT", "DATA")),
    Case("421 instead of the reply to the dot", (Fault("DOT", _GOING_DOWN, share=0.04),), is_key=True),
    *(Case(f"connection dropped at {verb}", (Fault(verb, drop(), share=0.04),)) for verb in ("MAIL", "RCPT", "DATA")),
    Case("connection dropped before the dot", (Fault("BODY", drop(), share=0.04),)),
    Case("connection dropped at the dot, not taken", (Fault("DOT", drop(), share=0.04),), is_key=True),
    Case("connection dropped after accepting", (Fault("DOT", accept_then_drop(), share=0.04),), is_key=True),
    Case("a storm of 4xx to RCPT", (Fault("RCPT", _GREY, share=0.5),)),
    Case("a storm of 4xx to the dot", (Fault("DOT", _BUSY, share=0.5),)),
    Case("some refused for good", (Fault("RCPT", say("550 5.1.1 no such user"), share=0.1),), refuses=True),
    Case("replies to dots later than the lease", (Fault("DOT", Act(delay=LEASE * 1.6), most=3),), is_key=True),
    Case("half-open at MAIL", (Fault("MAIL", stall(), most=3),), waits={"command": 1}),
    Case("half-open at the dot", (Fault("DOT", stall(), most=3),), waits={"dot": 1}, is_key=True),
    Case("a tarpit in the letter", (Fault("BODY", tarpit(), most=3),), waits={"command": 1, "dot": 1}),
    Case("a tarpit at DATA", (Fault("DATA", tarpit(), most=3),), waits={"command": 1}),
    Case(
        "everything at once",
        (
            Fault("MAIL", _GOING_DOWN, share=0.01),
            Fault("RCPT", _GREY, share=0.05),
            Fault("DATA", drop(), share=0.01),
            Fault("BODY", drop(), share=0.01),
            Fault("DOT", _BUSY, share=0.05),
            Fault("DOT", accept_then_drop(), share=0.01),
            Fault("DOT", drop(), share=0.01),
        ),
    ),
]
