"""Looking up whose mail servers take a domain's mail, a few domains at each tick. dnspython: here, and in preflight.

What must stay true: a tick waits for DNS two seconds at most, however many servers are silent; nothing is asked while a
transaction is open; to look up too late, twice or never changes rates only, and no letter.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from dns.exception import DNSException
from dns.resolver import NXDOMAIN, NoAnswer, NoResolverConfiguration, Resolver
from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.domain.rates import mailbox_domains
from dispatcher.errors import SettingInvalid

log = structlog.get_logger()
PATIENCE = 2.0  # seconds
_AT_ONCE = 16  # domains a tick
_PAGE = 5_000  # people a tick
_ROUND = 3600.0  # seconds after which everybody is gone over again: for what was forgotten, and what moved


def resolver(word: str) -> Resolver:
    """Give the system's resolver for `on`, else one that asks the server at ADDRESS or ADDRESS:PORT.

    Raises SettingInvalid where the system has none.
    """
    try:
        made = Resolver(configure=word == "on")
    except NoResolverConfiguration as error:
        raise SettingInvalid("DISPATCHER_MX_LOOKUP", f"{error}", "name the address of a resolver") from None
    if word != "on":
        address, _, port = word.partition(":")
        made.nameservers = [address]
        made.port = int(port or 53)
    return made


class Lookup:
    """The look-ups of one process: where in the round it stands."""

    def __init__(self, engine: Engine, asked: Resolver, patience: float = PATIENCE) -> None:
        self._engine = engine
        self._resolver = asked
        self._patience = patience
        self._after_id = 0
        self._has_learnt = False
        self._next_round = steady() + _ROUND

    def step(self) -> int:
        """Sort a page of people, and look a few domains up. Give how many were looked up."""
        with self._engine.begin() as conn:
            now = clock.now(conn)
            mailbox_domains.forget_old(conn, now)
            done = mailbox_domains.sort_page(conn, self._after_id, _PAGE)
            domains = mailbox_domains.to_ask(conn, _AT_ONCE)
        self._go_on(done.last_id)
        if not domains:
            return 0
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            answers = dict(zip(domains, threads.map(self._servers, domains), strict=True))
        with self._engine.begin() as conn:
            mailbox_domains.learn(conn, answers, clock.now(conn))
        self._has_learnt = True
        return len(domains)

    def _go_on(self, last_id: int | None) -> None:
        """Go on behind this person. Behind the last one wait for who is new, until there is a reason to begin anew."""
        if last_id is not None:
            self._after_id = last_id
        elif self._has_learnt or steady() > self._next_round:
            self._after_id, self._has_learnt = 0, False
            self._next_round = steady() + _ROUND

    def _servers(self, domain: str) -> Sequence[str] | None:
        """Give the mail servers of a domain, the preferred first; None: nobody could say."""
        try:
            answer = self._resolver.resolve(f"{domain}.", "MX", lifetime=self._patience)
        except (NXDOMAIN, NoAnswer):
            return []
        except DNSException as error:
            log.info("mx.unanswered", error=type(error).__name__)
            return None
        servers = sorted(answer, key=lambda record: record.preference)
        return [record.exchange.to_text(omit_final_dot=True) for record in servers]
