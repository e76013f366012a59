"""Logging in and out, the second factor, links, and how often one may be wrong."""

import asyncio
import re
import threading
from datetime import datetime, timedelta

import httpx
import pyotp
import pytest
from sqlalchemy import select, text, update
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dispatcher.console.door import AT_ONCE, MOST_WAITING, Door
from dispatcher.db import clock
from dispatcher.db.tables import staff_member, staff_session
from dispatcher.db.terms import Role
from dispatcher.domain.staff import members, passwords, second_factor, throttle
from tests.console.office import PASSWORD, Browser, Office, heading, hidden, on_sqlite, text_of

ANNA = "anna@example.de"


@pytest.fixture
def anna(office: Office) -> Browser:
    """Give a browser, and an account for it."""
    office.add(Role.EDITOR, ANNA)
    return office.browser()


def wrong(answer: httpx.Response) -> str:
    assert answer.status_code == 422
    return text_of(answer)


def test_whoever_knows_address_and_password_is_in_and_is_led_where_they_wanted_to_go(
    office: Office, anna: Browser
) -> None:
    asked = anna.get("/profile?x=1")
    assert asked.headers["location"] == "/console/login?next=/profile%3Fx%3D1"
    anna.log_in(ANNA, next="/profile?x=1")
    assert heading(anna.get("/profile")) == "Ihr Konto"
    assert office.deeds() == ["login.begun"]


@on_sqlite
@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\x", "x", ""])
def test_nobody_is_led_out_of_the_console(anna: Browser, target: str) -> None:
    assert anna.log_in(ANNA, next=target).headers["location"] == "/console/"


@on_sqlite
def test_known_and_unknown_accounts_are_refused_in_the_same_bytes(office: Office, anna: Browser) -> None:
    office.add(Role.EDITOR, "off@example.de")
    with office.engine.begin() as conn:
        found = members.by_email(conn, "off@example.de")
        assert found is not None
        members.switch_off(conn, found.id, clock.now(conn))
    tries = [(ANNA, "falsch"), ("nobody@example.de", "falsch"), ("off@example.de", PASSWORD), (ANNA, "x" * 5000)]
    answers = {wrong(office.browser().log_in(*one)).replace(one[0], "") for one in tries}
    assert len(answers) == 1
    assert "Adresse oder Passwort stimmen nicht." in answers.pop()


def test_an_unknown_account_costs_as_much_as_a_known_one() -> None:
    stored = passwords.make_hash(PASSWORD)
    assert passwords.is_right(stored, PASSWORD)
    assert not passwords.is_right(None, "nobody has this password")  # that of the hash that stands in


@on_sqlite
def test_a_session_is_new_at_each_log_in_and_gone_when_it_ends(office: Office, anna: Browser) -> None:
    before = "a" * 43
    anna.cookies["__Host-console"] = before
    anna.log_in(ANNA)
    assert anna.token not in {"", before}
    kept = anna.token
    assert all(kept.encode() not in row.token_sha256 for row in office.rows("staff_session"))
    assert anna.post("/logout").headers["location"] == "/console/login"
    assert (anna.token, office.rows("staff_session")) == ("", [])
    anna.cookies["__Host-console"] = kept
    assert anna.get("/profile").status_code == 303


@pytest.mark.both_databases
@pytest.mark.parametrize(("column", "ago"), [("seen_at", timedelta(hours=2)), ("started_at", timedelta(hours=12))])
def test_a_session_ends_when_it_was_idle_or_is_old(office: Office, column: str, ago: timedelta) -> None:
    browser = office.browser_of(Role.VIEWER)
    with office.engine.begin() as conn:
        conn.execute(update(staff_session).values({column: clock.now(conn) - ago + timedelta(minutes=1)}))
    assert browser.get("/profile").status_code == 200
    with office.engine.begin() as conn:
        conn.execute(update(staff_session).values({column: clock.now(conn) - ago}))
    assert browser.get("/profile").status_code == 303


@pytest.mark.parametrize("end", ["role", "off"])
def test_whose_role_changes_or_who_is_switched_off_is_out_at_once(office: Office, end: str) -> None:
    admin, other = office.browser_of(Role.ADMIN), office.add(Role.EDITOR, ANNA)
    browser = office.let_in(other)
    assert browser.get("/profile").status_code == 200
    assert admin.post(f"/people/{other}/{end}", {"role": "viewer"}).status_code == 303
    assert browser.get("/profile").status_code == 303
    assert office.deeds() == [f"people.{end}"]


@pytest.mark.both_databases
def test_however_many_wrong_log_ins_get_nobody_in_and_lock_the_owner_out_of_no_browser_they_know(
    office: Office, anna: Browser
) -> None:
    anna.log_in(ANNA)
    anna.post("/logout")
    with office.engine.begin() as conn:  # a stranger tries from everywhere; ten attempts are judged
        now = clock.now(conn)
        admitted = [
            throttle.admit(conn, office.keyring, ANNA, f"198.51.{n // 250}.{n % 250}", None, now) for n in range(300)
        ]
    assert sum(isinstance(one, throttle.Attempt) for one in admitted) == throttle.MOST_BY_ACCOUNT
    stranger = office.browser("203.0.113.9").log_in(ANNA)
    assert stranger.status_code == 429
    assert int(stranger.headers["retry-after"]) > 3000
    assert "Zu viele Versuche" in text_of(stranger)
    assert anna.log_in(ANNA).status_code == 303


@on_sqlite
def test_what_waits_tells_nothing_of_whether_there_is_an_account(office: Office, anna: Browser) -> None:
    with office.engine.begin() as conn:
        for address in (ANNA, "nobody@example.de"):
            for n in range(throttle.MOST_BY_ACCOUNT):
                throttle.admit(conn, office.keyring, address, f"198.51.100.{n}", None, clock.now(conn))
    answers = [office.browser(f"203.0.113.{n}").log_in(who) for n, who in enumerate((ANNA, "nobody@example.de"))]
    assert [answer.status_code for answer in answers] == [429, 429]
    assert text_of(answers[0]) == text_of(answers[1])


@on_sqlite
def test_a_mark_is_good_for_its_own_account_only(office: Office) -> None:
    with office.engine.begin() as conn:
        now = clock.now(conn)
    mark = throttle.make_mark(office.keyring, ANNA, now)
    assert throttle.read_mark(office.keyring, ANNA, mark, now)
    assert throttle.read_mark(office.keyring, "paul@example.de", mark, now) is None
    assert throttle.read_mark(office.keyring, ANNA, mark, now + timedelta(days=181)) is None
    assert throttle.read_mark(office.keyring, ANNA, "AAAA" + mark[4:], now) is None
    assert throttle.read_mark(office.keyring, ANNA, "ä", now) is None


def set_up(browser: Browser, path: str, **more: str) -> tuple[str, str, list[str]]:
    """Set up a second factor as a person does; give the secret, the code that proved it, and the recovery codes."""
    page = browser.get(path)
    secret = re.findall(r'class="secret">(\w+)<', page.text)[0]
    code = pyotp.TOTP(secret).now()
    refused = browser.post(path, {"offer": hidden(page, "offer"), "code": "000000", **more})
    assert secret in refused.text  # the picture that was scanned stays good
    done = browser.post(path, {"offer": hidden(page, "offer"), "code": code, **more})
    codes = re.findall(r"<code>([a-z2-7-]{19})</code>", done.text)
    assert len(codes) == 10
    return secret, code, codes


def test_whoever_may_send_sets_up_a_second_factor_before_anything_else_and_is_asked_for_it(office_of) -> None:
    office = office_of(console_totp="senders")
    office.add(Role.SENDER, ANNA)
    browser = office.browser()
    assert browser.log_in(ANNA).headers["location"] == "/console/login/second-factor"
    assert browser.get("/").headers["location"] == "/console/login/second-factor"
    first_step = browser.token
    secret, code, codes = set_up(browser, "/login/second-factor")
    assert browser.token != first_step
    assert browser.get("/").status_code == 200
    (stored,) = [row.totp_secret for row in office.rows("staff_member")]
    assert secret not in stored

    again = office.browser()
    assert again.log_in(ANNA).headers["location"] == "/console/login/code"
    assert again.get("/profile").headers["location"] == "/console/login/code"
    used = again.post("/login/code", {"code": code})  # which set it up
    assert used.status_code == 422
    assert again.post("/login/code", {"code": codes[0].upper().replace("-", " ")}).status_code == 303
    assert again.get("/").status_code == 200
    other = office.browser()
    other.log_in(ANNA)
    assert other.post("/login/code", {"code": codes[0]}).status_code == 422  # once
    assert office.deeds().count("login.code_refused") == 2


@pytest.mark.both_databases
def test_a_code_is_good_once_whoever_brings_it(office: Office) -> None:
    who = office.add(Role.EDITOR, ANNA)
    app = pyotp.TOTP(pyotp.random_base32())
    with office.engine.begin() as conn:
        now = clock.now(conn)
        sealed = second_factor.seal(office.keyring, who, app.secret)
        conn.execute(update(staff_member).where(staff_member.c.id == who).values(totp_secret=sealed))
        code = app.at(now)
        assert second_factor.take(conn, office.keyring, who, code, now)
        assert not second_factor.take(conn, office.keyring, who, code, now)
        assert not second_factor.take(conn, office.keyring, who, app.at(now - timedelta(seconds=30)), now)
        assert second_factor.take(conn, office.keyring, who, app.at(now + timedelta(seconds=30)), now)


@on_sqlite
def test_a_secret_is_sealed_for_one_member(office: Office) -> None:
    sealed = second_factor.seal(office.keyring, 1, "SECRET")
    assert second_factor.unseal(office.keyring, 1, sealed) == "SECRET"
    assert second_factor.unseal(office.keyring, 2, sealed) is None
    assert [second_factor.unseal(office.keyring, 1, text) for text in ("", "k9:AAAA", sealed[:-4], "k2:ä")] == [
        None
    ] * 4


@on_sqlite
def test_too_many_wrong_codes_are_refused_too(office_of) -> None:
    office = office_of(console_totp="senders")
    office.add(Role.SENDER, ANNA)
    browser = office.browser()
    browser.log_in(ANNA)
    set_up(browser, "/login/second-factor")
    thief = office.browser("203.0.113.9")
    thief.log_in(ANNA)
    answers = [thief.post("/login/code", {"code": f"{n:06}"}).status_code for n in range(12)]
    assert answers == [422] * 10 + [429] * 2


NEW = {"new_password": "Regenrinne Kupfer sieben Amsel", "again": "Regenrinne Kupfer sieben Amsel"}


def test_the_first_administrator_names_themselves_once(office: Office) -> None:
    token, browser = office.first_link(), office.browser()
    said = {"email": " Anna@Example.de ", "name": "Anna Beispiel", **NEW}
    assert wrong(browser.post(f"/invitation/{token}", {**said, "email": "x"}))
    assert browser.post(f"/invitation/{token}", said).status_code == 303
    assert heading(browser.get("/people")) == "Mitarbeiter"
    assert office.browser().get(f"/invitation/{token}").status_code == 404
    assert office.browser().post(f"/invitation/{token}", said).status_code == 404
    assert office.first_link() == ""
    assert office.deeds() == ["login.begun", "people.joined"]


def test_who_is_invited_sets_a_password_by_a_link_that_is_good_once(office: Office) -> None:
    admin = office.browser_of(Role.ADMIN)
    said = {"name": "Paul Neu", "email": "paul@example.de", "role": "editor", "language": "en"}
    page = admin.post("/people/new", said)
    path = re.findall(r"https://news.example.de/console(/invitation/[\w-]+)", page.text)[0]
    assert wrong(admin.post("/people/new", said))  # there is an account now
    paul = office.browser()
    assert "Paul Neu" in text_of(paul.get(path))
    assert paul.post(path, NEW).status_code == 303
    assert heading(paul.get("/profile")) == "Your account"
    assert office.browser().get(path).status_code == 404
    assert office.deeds() == ["people.invited", "login.begun", "people.joined"]
    assert "paul@example.de" not in str([row.detail for row in office.rows("audit_entry")])


def test_a_new_link_ends_the_one_before_and_takes_the_second_factor_off(office: Office) -> None:
    admin, paul = office.browser_of(Role.ADMIN), office.add(Role.EDITOR, "paul@example.de")
    browser = office.let_in(paul)
    set_up(browser, "/profile/second-factor", password=PASSWORD)
    old, new = (
        re.findall(r"/console(/invitation/[\w-]+)", admin.post(f"/people/{paul}/link").text)[0] for _ in range(2)
    )
    assert office.browser().get(old).status_code == 404
    assert office.browser().post(new, NEW).headers["location"] == "/console/"
    assert browser.get("/profile").status_code == 303  # logged out
    with office.engine.begin() as conn:
        assert not members.get(conn, paul).has_second_factor
        assert conn.execute(text("SELECT count(*) FROM staff_recovery_code")).scalar_one() == 0


@on_sqlite
@pytest.mark.parametrize(
    ("password", "again", "says"),
    [
        ("kurz", "kurz", "mindestens 10 Zeichen"),
        ("Passwort123", "Passwort123", "leicht zu erraten"),
        ("annabeispiel1", "annabeispiel1", "leicht zu erraten"),
        ("x" * 201, "x" * 201, "höchstens 200"),
        (NEW["again"], NEW["again"] + "x", "nicht dasselbe"),
    ],
)
def test_a_weak_password_takes_no_link(office: Office, password: str, again: str, says: str) -> None:
    token = office.first_link()
    said = {"email": ANNA, "name": "Anna Beispiel", "new_password": password, "again": again}
    assert says in wrong(office.browser().post(f"/invitation/{token}", said))
    assert office.browser().get(f"/invitation/{token}").status_code == 200


def test_a_new_password_ends_every_other_session(office: Office) -> None:
    who = office.add(Role.EDITOR, ANNA)
    here, there = office.let_in(who), office.let_in(who)
    assert "nicht Ihr jetziges" in wrong(here.post("/profile/password", {"password": "falsch", **NEW}))
    assert here.post("/profile/password", {"password": PASSWORD, **NEW}).status_code == 303
    assert (here.get("/profile").status_code, there.get("/profile").status_code) == (200, 303)
    with office.engine.begin() as conn:
        assert conn.execute(select(staff_member.c.password_hash)).scalar_one().startswith("$argon2id$")
    assert office.deeds() == ["profile.password"]


@on_sqlite
def test_all_strangers_together_get_so_many_guesses_an_hour_and_who_is_known_is_not_among_them(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "MOST_BY_STRANGERS", 30)
    mark = b"a browser that is known"

    def tries(now: datetime, kind: str, mark: bytes | None = None) -> int:
        admit, ring = throttle.admit_stranger, office.keyring
        each = (admit(conn, ring, f"{kind}{n}@example.de", f"{kind}{n}", mark, now) for n in range(100))
        return sum(isinstance(one, throttle.Attempt) for one in each)

    with office.engine.begin() as conn:
        now = clock.now(conn)
        assert tries(now, "a") == 30
        assert tries(now + throttle.WITHIN - timedelta(seconds=1), "b") == 0
        assert tries(now, "c", mark) == throttle.MOST_BY_ACCOUNT
        assert isinstance(throttle.admit(conn, office.keyring, "code\0x", "d", None, now), throttle.Attempt)
        assert tries(now + throttle.WITHIN, "e") == 30
    assert len(office.rows("login_attempt")) == 30 * 3  # an hour later the first are gone


def test_who_waits_at_the_door_takes_no_thread_and_has_a_bound() -> None:
    may_go_on = threading.Event()

    async def crowd() -> list[Response | BaseException]:
        door, others = Door(), AT_ONCE + MOST_WAITING
        waiting = [asyncio.create_task(door.take(lambda: Response(str(may_go_on.wait(30))))) for _ in range(others + 3)]
        served = await asyncio.gather(*[run_in_threadpool(int) for _ in range(50)])  # more than there are threads
        assert served == [0] * 50
        may_go_on.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    answers = asyncio.run(crowd())
    refused = [one for one in answers if isinstance(one, HTTPException)]
    assert [one.status_code for one in refused] == [503] * 3
    assert len([one for one in answers if isinstance(one, Response)]) == AT_ONCE + MOST_WAITING
