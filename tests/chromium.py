"""The system's Chromium, quiet and without a network beyond this machine. One per process, for all tests that stand
together: while it runs, its thread can run no other loop, so it ends before whoever has nothing to do with it.
"""

import shutil
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from dispatcher.settings import in_ci

MARK = "browser"
# The first has no window around its pages, nor what belongs to one, and costs about half.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_PATIENCE = 30_000  # milliseconds for what a page is to show: as long as for each click


class Chromium:
    """It starts with the first test that asks for it, and again after it was ended."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self._browser: Browser | None = None

    def browser(self) -> Browser:
        """Give it; skips the test where there is none."""
        if self._browser is None:
            found = next(filter(None, map(shutil.which, _NAMES)), None)
            if found is None:
                assert not in_ci(), f"no Chromium: install Debian's package {_NAMES[0]}"
                pytest.skip("no Chromium on this machine")
            playwright = self._running.enter_context(sync_playwright())
            expect.set_options(timeout=_PATIENCE)
            self._browser = playwright.chromium.launch(executable_path=found, args=list(_QUIET))
            self._running.callback(self._browser.close)
        return self._browser

    def tidy(self) -> None:
        """Close the windows that a test left open."""
        for context in self._browser.contexts if self._browser else []:
            context.close()

    def end(self) -> None:
        """End it, if it runs."""
        self._browser = None
        self._running.close()


CHROMIUM = Chromium()
