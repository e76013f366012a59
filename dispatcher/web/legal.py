"""Pages that stand still: privacy notice, Impressum, robots.txt, the favicon; and /healthz for whoever watches us."""

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from dispatcher.db.engine import check
from dispatcher.errors import PartUnavailable
from dispatcher.sending import declarations
from dispatcher.web.language import choose
from dispatcher.web.pages import STATIC, markdown
from dispatcher.web.site import Site

PERSONAL = ("/c/", "/u/", "/p/", "/v/")  # paths with a token in them; no search engine has business there

log = structlog.get_logger()


class Legal:
    """`/privacy`, `/impressum`, `/robots.txt`, `/favicon.ico`, `/healthz`"""

    def __init__(self, site: Site) -> None:
        self._site = site

    def privacy(self, request: Request) -> Response:
        """Show the privacy notice."""
        language = choose(request)
        return self._notice(request, "privacy", declarations.privacy(self._site.settings, language))

    def impressum(self, request: Request) -> Response:
        """Show the Impressum (DDG 5)."""
        return self._notice(request, "impressum", self._site.settings.impressum)

    def robots(self, _request: Request) -> Response:
        """Keep search engines away from links that belong to people."""
        lines = ["User-agent: *", *(f"Disallow: {self._site.pages.root}{path}" for path in PERSONAL)]
        return PlainTextResponse("\n".join(lines) + "\n", headers={"Cache-Control": "public, max-age=3600"})

    def icon(self, _request: Request) -> Response:
        """Serve the icon that browsers ask for unasked."""
        kept = {"Cache-Control": "public, max-age=86400"}
        return FileResponse(STATIC / "favicon.svg", media_type="image/svg+xml", headers=kept)

    def health(self, _request: Request) -> Response:
        """Say whether the pages can work. The words name no host and no user; the log has the rest."""
        try:
            check(self._site.engine)
        except (PartUnavailable, SQLAlchemyError) as error:
            log.error("health.database", error=type(error).__name__)
            cure = "look whether the database runs, and into the log of `dispatcher web`"
            return JSONResponse(
                {"status": "failing", "database": "does not answer", "cure": cure}, 503, {"Retry-After": "10"}
            )
        return JSONResponse({"status": "ok", "database": "ok"})

    def _notice(self, request: Request, name: str, text: str) -> Response:
        return self._site.pages.answer(name, choose(request), text=markdown(text))
