"""Every route and every role: who may what, as a table that stands by itself."""

import re

from starlette.routing import BaseRoute, Mount, Route

from dispatcher.console.declare import Act, Live, Page
from dispatcher.db.terms import Role
from dispatcher.domain.staff.roles import Permission, may
from tests.console.office import PAGES, Office, on_sqlite, path_of

LETTERS = {"V": Role.VIEWER, "E": Role.EDITOR, "S": Role.SENDER, "D": Role.DATA_PROTECTION, "A": Role.ADMIN}
ANYONE = "anyone"  # also without a session
LOGGING_IN = "logging in"  # between password and second factor: no role may, once it is in

# Whoever adds a page adds a line. V viewer, E editor, S sender, D data protection, A admin.
TABLE = {
    "GET /login": ANYONE,
    "POST /login": ANYONE,
    "GET /login/code": LOGGING_IN,
    "POST /login/code": LOGGING_IN,
    "GET /login/second-factor": LOGGING_IN,
    "POST /login/second-factor": LOGGING_IN,
    "POST /logout": ANYONE,
    "GET /invitation/{token}": ANYONE,
    "POST /invitation/{token}": ANYONE,
    "GET /": "VESDA",
    "GET /live/overview": "VESDA",
    "GET /live/asked": "SA",
    "GET /campaigns": "VESDA",
    "GET /campaigns/compare": "VESDA",
    "GET /campaigns/calendar": "VESDA",
    "GET /campaigns/series": "VESDA",
    "GET /campaigns/series/new": "ESA",
    "POST /campaigns/series/new": "ESA",
    "GET /campaigns/series/{series}": "VESDA",
    "POST /campaigns/series/{series}/skip": "SA",
    "POST /campaigns/series/{series}/pause": "SA",
    "POST /campaigns/series/{series}/resume": "SA",
    "GET /campaigns/series/{series}/end": "SA",
    "POST /campaigns/series/{series}/end": "SA",
    "GET /campaigns/feeds": "VESDA",
    "GET /campaigns/feeds/new": "ESA",
    "POST /campaigns/feeds/new": "ESA",
    "GET /campaigns/feeds/{feed}": "VESDA",
    "POST /campaigns/feeds/{feed}/ask": "ESA",
    "GET /campaigns/feeds/{feed}/change": "ESA",
    "POST /campaigns/feeds/{feed}/change": "ESA",
    "POST /campaigns/feeds/{feed}/off": "ESA",
    "POST /campaigns/feeds/{feed}/on": "ESA",
    "GET /campaigns/feeds/{feed}/remove": "ESA",
    "POST /campaigns/feeds/{feed}/remove": "ESA",
    "GET /campaigns/new": "ESA",
    "POST /campaigns/new": "ESA",
    "GET /campaigns/{campaign}": "VESDA",
    "GET /campaigns/{campaign}/live": "VESDA",
    "GET /campaigns/{campaign}/parts": "VESDA",
    "POST /campaigns/{campaign}/pause": "SA",
    "POST /campaigns/{campaign}/resume": "SA",
    "POST /campaigns/{campaign}/rate": "SA",
    "GET /campaigns/{campaign}/cancel": "SA",
    "POST /campaigns/{campaign}/cancel": "SA",
    "GET /campaigns/{campaign}/trial": "VESDA",
    "GET /campaigns/{campaign}/choose": "SA",
    "POST /campaigns/{campaign}/choose": "SA",
    "GET /campaigns/{campaign}/check": "VESDA",
    "GET /campaigns/{campaign}/check/live": "VESDA",
    "POST /campaigns/{campaign}/check": "ESA",
    "GET /campaigns/{campaign}/source": "VESDA",
    "GET /campaigns/{campaign}/release": "ESA",
    "POST /campaigns/{campaign}/release": "SA",
    "POST /campaigns/{campaign}/release/ask": "ESA",
    "GET /campaigns/{campaign}/replace": "ESA",
    "POST /campaigns/{campaign}/replace": "ESA",
    "GET /campaigns/{campaign}/take-back": "SA",
    "POST /campaigns/{campaign}/take-back": "SA",
    "GET /campaigns/{campaign}/edit": "ESA",
    "POST /campaigns/{campaign}/edit": "ESA",
    "GET /campaigns/{campaign}/file": "ESA",
    "POST /campaigns/{campaign}/file": "ESA",
    "GET /campaigns/{campaign}/audience": "ESA",
    "POST /campaigns/{campaign}/audience": "ESA",
    "GET /campaigns/{campaign}/audience/count": "ESA",
    "GET /campaigns/{campaign}/preview": "VESDA",
    "GET /campaigns/{campaign}/preview/letter": "VESDA",
    "POST /campaigns/{campaign}/preview/reader": "ESDA",
    "POST /campaigns/{campaign}/preview/test": "ESA",
    "GET /campaigns/{campaign}/missing": "VESDA",
    "POST /campaigns/{campaign}/missing": "ESDA",
    "GET /subscribers": "ESDA",
    "POST /subscribers/search": "ESDA",
    "GET /subscribers/suppress": "DA",
    "POST /subscribers/suppress": "DA",
    "GET /subscribers/lift": "DA",
    "POST /subscribers/lift": "DA",
    "GET /subscribers/new": "DA",
    "POST /subscribers/new": "DA",
    "GET /subscribers/{subscriber}": "ESDA",
    "GET /subscribers/{subscriber}/withdraw": "DA",
    "POST /subscribers/{subscriber}/withdraw": "DA",
    "GET /subscribers/{subscriber}/suppress": "DA",
    "POST /subscribers/{subscriber}/suppress": "DA",
    "GET /subscribers/{subscriber}/lift": "DA",
    "POST /subscribers/{subscriber}/lift": "DA",
    "GET /subscribers/{subscriber}/dossier": "DA",
    "POST /subscribers/{subscriber}/dossier": "DA",
    "GET /subscribers/{subscriber}/export": "DA",
    "POST /subscribers/{subscriber}/export": "DA",
    "GET /subscribers/{subscriber}/rectify": "DA",
    "POST /subscribers/{subscriber}/rectify": "DA",
    "GET /subscribers/{subscriber}/erase": "DA",
    "POST /subscribers/{subscriber}/erase": "DA",
    "GET /subscribers/{subscriber}/object": "DA",
    "POST /subscribers/{subscriber}/object": "DA",
    "GET /subscribers/{subscriber}/restrict": "DA",
    "POST /subscribers/{subscriber}/restrict": "DA",
    "GET /subscribers/{subscriber}/release": "DA",
    "POST /subscribers/{subscriber}/release": "DA",
    "GET /consent": "VESDA",
    "GET /consent/live": "VESDA",
    "GET /consent/declarations": "VESDA",
    "GET /consent/declarations/new": "DA",
    "POST /consent/declarations/new": "DA",
    "POST /consent/declarations/check": "DA",
    "GET /consent/declarations/{declaration}": "VESDA",
    "GET /consent/declarations/{declaration}/ask": "DA",
    "POST /consent/declarations/{declaration}/ask": "DA",
    "GET /consent/proof": "VESDA",
    "GET /consent/proof/live": "VESDA",
    "POST /consent/proof/verify": "DA",
    "POST /consent/proof/take": "DA",
    "GET /consent/proof/checkpoints": "VESDA",
    "GET /consent/proof/key": "VESDA",
    "GET /consent/proof/dossier": "VESDA",
    "POST /consent/proof/dossier": "VESDA",
    "GET /consent/form": "VESDA",
    "GET /subscribers/imports": "DA",
    "GET /subscribers/imports/new": "DA",
    "POST /subscribers/imports/new": "DA",
    "GET /subscribers/imports/{upload}": "DA",
    "GET /subscribers/imports/{upload}/live": "DA",
    "POST /subscribers/imports/{upload}/start": "DA",
    "POST /subscribers/imports/{upload}/again": "DA",
    "POST /subscribers/imports/{upload}/discard": "DA",
    "POST /subscribers/imports/{upload}/rejects": "DA",
    "GET /subscribers/suppressions": "ESDA",
    "POST /subscribers/suppressions/export": "DA",
    "GET /subscribers/export": "DA",
    "POST /subscribers/export": "DA",
    "GET /consent/retention": "VESDA",
    "GET /subscribers/suppressions/import": "DA",
    "POST /subscribers/suppressions/import": "DA",
    "GET /rights": "DA",
    "GET /rights/new": "DA",
    "POST /rights/new": "DA",
    "GET /rights/{request}": "DA",
    "GET /rights/{request}/extend": "DA",
    "POST /rights/{request}/extend": "DA",
    "GET /rights/{request}/close": "DA",
    "POST /rights/{request}/close": "DA",
    "GET /health": "VESDA",
    "GET /health/live": "VESDA",
    "POST /health/examine": "SA",
    "GET /health/provider": "VESDA",
    "POST /health/provider/rate": "SA",
    "POST /health/provider/pause": "SA",
    "POST /health/provider/resume": "SA",
    "POST /health/provider/reset": "SA",
    "GET /health/relay": "VESDA",
    "POST /health/relay/try": "SA",
    "GET /people/keys": "DA",
    "GET /people/keys/new": "A",
    "POST /people/keys/new": "A",
    "GET /people/keys/{key}/revoke": "A",
    "POST /people/keys/{key}/revoke": "A",
    "GET /people/webhooks": "DA",
    "GET /people/webhooks/new": "A",
    "POST /people/webhooks/new": "A",
    "GET /people/webhooks/{endpoint}": "DA",
    "POST /people/webhooks/{endpoint}/test": "A",
    "POST /people/webhooks/{endpoint}/replay": "A",
    "POST /people/webhooks/{endpoint}/off": "A",
    "POST /people/webhooks/{endpoint}/on": "A",
    "GET /people/webhooks/{endpoint}/remove": "A",
    "POST /people/webhooks/{endpoint}/remove": "A",
    "GET /people": "DA",
    "GET /people/new": "A",
    "POST /people/new": "A",
    "GET /people/{member}": "DA",
    "POST /people/{member}/role": "A",
    "POST /people/{member}/link": "A",
    "POST /people/{member}/off": "A",
    "POST /people/{member}/on": "A",
    "GET /audit": "DA",
    "GET /profile": "VESDA",
    "POST /profile": "VESDA",
    "GET /profile/password": "VESDA",
    "POST /profile/password": "VESDA",
    "GET /profile/second-factor": "VESDA",
    "POST /profile/second-factor": "VESDA",
    "GET /profile/second-factor/remove": "VESDA",
    "POST /profile/second-factor/remove": "VESDA",
    "GET /profile/recovery-codes": "VESDA",
    "POST /profile/recovery-codes": "VESDA",
    "POST /profile/others": "VESDA",
}

# These look at the role once more, for one field or another. So every role asks for them.
DECIDE_MORE = {
    "GET /campaigns/{campaign}/preview",
    "GET /campaigns/{campaign}/preview/letter",
    "POST /campaigns/feeds/new",
    "POST /campaigns/feeds/{feed}/change",
}


def name_of(page: Page) -> str:
    return f"{'POST' if isinstance(page, Act) else 'GET'} {page.path}"


def test_the_table_names_every_declared_page_and_no_other() -> None:
    declared = [name_of(page) for page in PAGES]
    assert len(declared) == len(set(declared))
    assert set(TABLE) == set(declared)


def routes_of(routes: list[BaseRoute], above: str = "") -> set[str]:
    found = set()
    for route in routes:
        if isinstance(route, Mount):
            found |= routes_of(route.routes, above + route.path)
        elif isinstance(route, Route):
            path = re.sub(r":\w+}", "}", above + route.path)
            found |= {f"{method} {path}" for method in (route.methods or set()) - {"HEAD"}}
    return found


@on_sqlite
def test_every_route_of_the_console_is_a_declared_one(office: Office) -> None:
    served = {name for name in routes_of(office.app.routes) if " /console" in name}
    assert served == {"GET /console"} | {name.replace(" /", " /console/", 1) for name in TABLE}


def admitted(page: Page) -> list[Role]:
    """Give who may, as the table says, from the least role to the greatest."""
    allowed = TABLE[name_of(page)]
    return list(Role) if allowed == ANYONE else [role for key, role in LETTERS.items() if key in allowed]


def test_each_page_asks_for_what_just_the_roles_of_the_table_have() -> None:
    for page in PAGES:
        if isinstance(page.admits, Permission):
            assert [role for role in LETTERS.values() if may(role, page.admits)] == admitted(page), page.path
        else:
            assert TABLE[name_of(page)] == (ANYONE if page.admits is None else LOGGING_IN), page.path


@on_sqlite
def test_each_page_lets_in_whom_the_table_does_and_nobody_else(office: Office) -> None:
    # Each page is asked by the least who may, for whom it has the fewest buttons, and by the greatest who may not.
    who = {role: office.add(role) for role in Role}
    things, wrong = office.things, {}
    for page in PAGES:
        if isinstance(page, Live):
            continue  # a stream does not end by itself: test_live.py
        allowed = admitted(page)
        refused = [role for role in LETTERS.values() if role not in allowed]
        asked = allowed[:1] + refused[-1:]
        if name_of(page) in DECIDE_MORE:
            asked = list(Role)
        for role in asked:
            browser = office.let_in(who[role])
            answer = (browser.post if isinstance(page, Act) else browser.get)(path_of(page, things))
            leads_away = answer.status_code == 303 and TABLE[name_of(page)] == LOGGING_IN
            reached = answer.status_code != 403 and not leads_away
            if reached is not (role in allowed) or answer.status_code >= 500:
                wrong[name_of(page), role] = answer.status_code
    assert wrong == {}


@on_sqlite
def test_nobody_reaches_anything_without_logging_in(office: Office) -> None:
    things = office.things
    before = office.rows("audit_entry")
    for page in PAGES:
        browser = office.browser()
        method = "POST" if isinstance(page, Act) else "GET"
        answer = (browser.post if method == "POST" else browser.get)(path_of(page, things))
        if TABLE[name_of(page)] == ANYONE:
            assert answer.status_code in {200, 303, 404, 422}, page.path
        elif isinstance(page, Live):
            assert answer.status_code == 403
        else:
            assert answer.status_code == 303, page.path
            assert answer.headers["location"].startswith("/console/login")
    assert office.rows("audit_entry") == before
