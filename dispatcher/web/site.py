"""What every page works with, made once by the composition root."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine
from starlette.requests import Request
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp

from dispatcher.db.terms import Language
from dispatcher.domain.consent import Evidence
from dispatcher.domain.tokens import Keyring
from dispatcher.sending.declarations import privacy_sha256
from dispatcher.settings import Settings
from dispatcher.web.pages import Pages
from dispatcher.web.security import IpAddress, client_address

_LONGEST_USER_AGENT = 300


@dataclass(frozen=True, slots=True)
class Site:
    """The parts. `nudge` calls a worker for a confirmation campaign, after commit."""

    settings: Settings
    engine: Engine
    keyring: Keyring
    pages: Pages
    nudge: Callable[[int], None]

    def client(self, request: Request) -> IpAddress | None:
        """Give the address from which a request comes."""
        return client_address(request, self.settings.trusted_proxies)

    def evidence(
        self, request: Request, source: str, language: Language | None, declaration_id: int | None = None
    ) -> Evidence:
        """Gather what a request proves. With a declaration, the privacy notice linked beside it is proven too: then in
        its language.
        """
        ip = self.client(request)
        return Evidence(
            source=source,
            ip=str(ip) if ip else None,
            user_agent=_printable(request.headers.get("user-agent", "")) or None,
            language=language,
            declaration_id=declaration_id,
            privacy_sha256=privacy_sha256(self.settings, language) if declaration_id and language else None,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Something that is served beside the public pages: its routes, and what ends it when the server does."""

    routes: Sequence[BaseRoute]
    close: Callable[[], None]


def mounted(path: str, app: ASGIApp) -> Callable[[Site], Part]:
    """Serve a whole application below a path."""
    return lambda site: Part([Mount(f"{site.pages.root}{path}", app)], lambda: None)


def _printable(text: str) -> str:
    """PostgreSQL stores no NUL, and nobody needs control characters in a proof."""
    if text.isprintable():
        return text[:_LONGEST_USER_AGENT]
    return "".join(ch for ch in text if ch.isprintable())[:_LONGEST_USER_AGENT]
