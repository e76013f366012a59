"""Cookies, and whether a form was sent by a page of ours.

What must stay true: over https every cookie has the prefix __Host-, so that no other host can set it (ASVS 3.3.3);
a POST that does not say it comes from here is refused (3.5.1), whatever cookie it brings.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from dispatcher.settings import LOOPBACK

SESSION, MARK, NOTICE = "console", "console-known", "console-notice"
_HALF_A_YEAR = 180 * 24 * 3600
_LONGEST_NOTICE = 2000


class Cookies:
    """The console's cookies. On a machine's own address without https browsers take no __Host- cookie."""

    def __init__(self, *, https: bool) -> None:
        self._https = https

    def name(self, kind: str) -> str:
        """Give the name under which a cookie is set."""
        return f"__Host-{kind}" if self._https else kind

    def read(self, request: Request, kind: str) -> str:
        """Give what a cookie holds; "" if there is none."""
        return request.cookies.get(self.name(kind), "")

    def set(self, answer: Response, kind: str, value: str) -> None:
        """Set a cookie; that of the session goes with the browser."""
        age = {MARK: _HALF_A_YEAR, NOTICE: 60}.get(kind)
        answer.set_cookie(
            self.name(kind), value, max_age=age, path="/", secure=self._https, httponly=True, samesite="lax"
        )

    def drop(self, answer: Response, kind: str) -> None:
        """Take a cookie back."""
        answer.delete_cookie(self.name(kind), path="/", secure=self._https, httponly=True, samesite="lax")

    def set_notice(self, answer: Response, key: str, values: Mapping[str, str]) -> None:
        """Have the next page say a sentence."""
        self.set(answer, NOTICE, urlsafe_b64encode(json.dumps([key, dict(values)]).encode()).decode())

    def notice(self, request: Request) -> tuple[str, dict[str, str]] | None:
        """Read the sentence that the page before has left."""
        try:
            key, values = json.loads(urlsafe_b64decode(self.read(request, NOTICE)[:_LONGEST_NOTICE]))
            return str(key), {str(name): str(value) for name, value in values.items()}
        except (ValueError, TypeError, AttributeError):
            return None


def is_from_here(request: Request, public_url: str) -> bool:
    """Claim that a page of ours sent this. Every browser names the origin of a POST."""
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site") == "same-origin"
    ours = urlsplit(public_url)
    if origin == f"{ours.scheme}://{ours.netloc}":
        return True
    here = urlsplit(f"//{request.headers.get('host', '')}")
    return ours.scheme == "http" and here.hostname in LOOPBACK and origin == f"http://{here.netloc}"


def device(user_agent: str) -> str:
    """Name browser and system in a few words, for their owner to recognise; "" for anything else."""
    browsers = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
    systems = {"Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows", "Mac OS": "macOS",
               "Linux": "Linux"}  # fmt: skip
    parts = (next((name for mark, name in names.items() if mark in user_agent), "") for names in (browsers, systems))
    return ", ".join(filter(None, parts))
