"""Every page behind a token: looking changes nothing, and a wrong link tells nothing."""

import base64
from collections.abc import Callable

import pytest

from dispatcher.db.terms import Topic
from dispatcher.domain.tokens import Purpose
from tests.databases import in_turn
from tests.web.test_view import released
from tests.web.visitor import House, heading

PURPOSES = {"u": Purpose.UNSUBSCRIBE, "p": Purpose.PREFERENCES, "v": Purpose.VIEW}


@pytest.fixture
def paths(house: House) -> dict[str, str]:
    """Give a good link of every kind."""
    maria = house.add()
    campaign_id = released(house)
    house.visitor().post("/", data=house.form(address="paul@example.com"))
    signed = {k: f"/{k}/{house.token(p, maria, Topic.FINANCE_NEWS, campaign_id)}" for k, p in PURPOSES.items()}
    confirm = house.confirmation_path()
    house.visitor().post(signed["p"], data={"do": "move", "address": "maria@example.com"})
    return {"c": confirm, "a": house.confirmation_path(), **signed}


@pytest.mark.both_databases
def test_get_and_head_on_every_page_change_nothing(house: House, paths: dict[str, str]) -> None:
    before = house.everything()
    standing = ["/", "/join", "/privacy", "/impressum", "/healthz", "/robots.txt", "/favicon.ico", "/nothing", "/u/x"]
    for path in [*paths.values(), *standing]:
        for asked in (path, path + "?scope=all&List-Unsubscribe=One-Click&topic=finance-news&lang=en", path + "/"):
            for method in ("GET", "HEAD"):
                house.visitor().ask(method, asked)
    assert house.everything() == before


def test_no_path_redirects(house: House, paths: dict[str, str]) -> None:
    for path in [*paths.values(), "/", "/join", "/privacy", "/static/site.css", "/u", "//u/x", "/static"]:
        for spelling in (path, path + "/"):
            for method in ("GET", "POST"):
                assert house.visitor().ask(method, spelling).status_code not in range(300, 400)


@in_turn("kind", ["c", "a", "u", "p", "v"])
def test_a_slash_at_the_end_is_no_mistake(house: House, paths: dict[str, str], kind: str) -> None:
    with_slash, without = (house.visitor().get(path) for path in (paths[kind] + "/", paths[kind]))
    assert with_slash.status_code == without.status_code
    assert heading(with_slash) == heading(without)


def wrong_tokens(house: House, good: str) -> list[str]:
    stranger = base64.urlsafe_b64encode(b"\x01" * 19 + b"\x02" * 5).rstrip(b"=").decode()
    altered = [good[:i] + ("A" if good[i] != "A" else "B") + good[i + 1 :] for i in range(len(good))]
    cut = [good[:length] for length in range(1, len(good))]
    odd = [
        "%00",
        "%F0%9F%8C%9F",
        "%FF%FE",
        "a" * 5000,
        good + "A",
        good + "=",
        "%2e%2e",
        good.swapcase(),
        "%E4",
        "..%2F",
    ]
    return [stranger, *altered, *cut, *odd]


@in_turn("kind", ["c", "a", "u", "p", "v"])
def test_a_wrong_link_gets_the_same_bytes_whatever_is_wrong_with_it(
    house: House, paths: dict[str, str], kind: str
) -> None:
    before = house.everything()
    good = paths[kind].rpartition("/")[2]
    others = [path.rpartition("/")[2] for other, path in paths.items() if other != kind]
    visitor = house.visitor()
    methods = ("GET", "POST") if kind != "v" else ("GET",)
    answers = {
        (answer.status_code, answer.content)
        for token in [*wrong_tokens(house, good), *others]
        for method in methods
        for answer in [visitor.ask(method, f"/{kind}/{token}", content=b"")]
    }
    assert [status for status, _ in answers] == [404]
    assert house.everything() == before


def test_a_link_of_nobody_is_answered_like_a_wrong_one(house: House) -> None:
    wrong = house.visitor().get("/u/wrong")
    for kind, purpose in PURPOSES.items():
        path = f"/{kind}/{house.token_of_nobody(purpose)}"
        assert house.visitor().get(path).content == wrong.content
        assert house.visitor().get(path).status_code == 404


def test_links_survive_a_change_of_keys(house: House, house_of: Callable[..., House], paths: dict[str, str]) -> None:
    newer = house_of(secret_keys=f"k3:{'33' * 32} k2:{(b'2' * 32).hex()} k1:{(b'1' * 32).hex()}")
    assert heading(newer.visitor().get(paths["u"])) == "Finanznews abbestellen?"
    assert newer.visitor().post(paths["u"]).status_code == 200
    assert heading(newer.visitor().post(paths["c"])) == "Sie sind angemeldet"
