"""Links and pictures, asked for over real sockets; and the one-click button, pressed."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from dispatcher.sending.preflight import links
from dispatcher.sending.preflight.findings import Finding, Severity
from dispatcher.sending.preflight.run import silent
from tests import builders
from tests.sending.preflight.conftest import Open
from tests.web.visitor import on_sqlite
from tests.web_server import Says, port_of_nobody, running_web

pytestmark = on_sqlite
STOP, WARN = Severity.STOP, Severity.WARN


def letter(*addresses: str, picture: str = "") -> str:
    text = " ".join(f"[Link]({address})" for address in addresses) + (f" ![Ein Barren]({picture})" if picture else "")
    return builders.CONTENT.replace("[Mehr dazu](https://www.example.de/gold)", text)


def found(lay: Open, content: str, public_url: str = "https://news.example.de") -> list[Finding]:
    exam = lay(content)
    asked = links.ask_links(exam, silent)
    own = {place for place in asked if place.url.startswith(public_url)}
    told = [*links.check_links(asked, public_url), *links.check_pictures(exam, asked)]
    return [f for f in told if f.values.get("link") not in {place.url for place in own} and f.name != "plain_http"]


@pytest.mark.parametrize(
    ("says", "name", "severity"),
    [
        (Says(404), "dead", STOP),
        (Says(410), "dead", STOP),
        (Says(403), "unsure", WARN),
        (Says(429), "unsure", WARN),
        (Says(503), "unsure", WARN),
        (Says(302, b"", {"Location": "/a"}), "circle", STOP),
        (Says(301, b"", {"Location": "/gone"}), "dead", STOP),
        (Says(301, b"", {"Location": "http://10.0.0.1/admin"}), "inside", STOP),
        (Says(301, b"", {"Location": "http://169.254.169.254/latest/meta-data/"}), "inside", STOP),
        (Says(301, b"", {"Location": "file:///etc/passwd"}), "unanswered", WARN),
    ],
)
def test_a_link_that_leads_nowhere_is_told_with_its_line(lay: Open, says: Says, name: str, severity: Severity) -> None:
    with running_web({"/a": says}) as web:
        (told,) = found(lay, letter(web.url("/a")))
    assert (told.name, told.severity, told.where) == (name, severity, "news.de.md:9")


def test_links_that_answer_are_left_alone_and_asked_once(lay: Open) -> None:
    with running_web({"/a": Says(), "/b": Says(301, b"", {"Location": "/a"})}) as web:
        assert found(lay, letter(web.url("/a"), web.url("/a"), web.url("/b"), "mailto:a@example.de")) == []
        assert sorted(path for _, path, _ in web.asked) == ["/a", "/a", "/b"]


def test_no_link_that_bears_a_readers_token_is_asked_for(lay: Open, stage) -> None:
    with running_web() as web:
        exam = lay(letter("{{ unsubscribe_url }}"), stationery=replace(stage.stationery, public_url=web.url("")))
        links.ask_links(exam, silent)
        assert [path for _, path, _ in web.asked if path[:3] in {"/u/", "/p/", "/v/"}] == []


def test_a_link_into_our_own_network_stops_the_letter_and_is_not_asked_for(lay: Open) -> None:
    with running_web({"/": Says()}) as web:
        (told,) = found(lay, letter("http://localhost/", web.url()))
        assert (told.name, told.severity) == ("inside", STOP)


def test_one_name_that_is_unknown_among_known_ones_is_the_letters_fault_and_all_are_this_machines(lay: Open) -> None:
    with running_web({"/": Says()}) as web:
        (told,) = found(lay, letter(web.url(), "https://gibtsnicht.invalid/a"))
    assert (told.name, told.severity) == ("no_name", STOP)
    (told,) = found(lay, letter("https://gibtsnicht.invalid/a", "https://auchnicht.invalid/b"))
    assert (told.name, told.severity, told.values["count"]) == ("no_names_here", WARN, "2")


@pytest.mark.parametrize(
    ("headers", "size", "told"),
    [
        ({"Content-Type": "image/png"}, 1000, []),
        ({"Content-Type": "text/html"}, 1000, ["none"]),
        ({"Content-Type": "image/png"}, 1_500_000, ["heavy"]),
        ({"Content-Type": "image/png"}, 5_500_000, ["too_heavy"]),
    ],
)
def test_pictures_are_weighed_and_must_be_pictures(
    lay: Open, headers: Mapping[str, str], size: int, told: list[str]
) -> None:
    with running_web({"/a.png": Says(200, b"x" * size, headers)}) as web:
        assert [f.name for f in found(lay, letter(picture=web.url("/a.png")))] == told


def press(lay: Open, stage, public_url: str) -> list[Finding]:
    return list(links.press_button(lay(stationery=replace(stage.stationery, public_url=public_url))))


@pytest.mark.parametrize(
    ("says", "name"),
    [
        (Says(200), None),
        (Says(301, b"", {"Location": "/x"}), "moved"),
        (Says(403), "refused"),
        (Says(404), "refused"),
        (Says(500), "refused"),
        (Says(204, b""), "refused"),
    ],
)
def test_the_button_is_pressed_as_mail_programs_do(lay: Open, stage, says: Says, name: str | None) -> None:
    with running_web() as web:
        exam = lay(stationery=replace(stage.stationery, public_url=web.url("")))
        path = next(iter(exam.looks.values())).fields.unsubscribe_url.partition(str(web.port))[2]
        web.pages[path] = says
        told = list(links.press_button(exam))
        assert [(f.name, f.severity) for f in told] == ([(name, STOP)] if name else [])
        assert web.asked == [("POST", path, b"List-Unsubscribe=One-Click")]


def test_pages_that_are_away_stop_the_letter(lay: Open, stage) -> None:
    (told,) = press(lay, stage, f"http://127.0.0.1:{port_of_nobody()}")
    assert (told.name, told.severity) == ("unanswered", STOP)
