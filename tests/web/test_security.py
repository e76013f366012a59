"""What every answer carries, and whose word about the client's address is taken."""

from collections.abc import Callable

import pytest

from tests.web.visitor import House, Visitor, on_sqlite

pytestmark = on_sqlite

PATHS = ["/", "/privacy", "/u/wrong", "/nothing", "/healthz", "/robots.txt", "/static/site.css", "/favicon.ico"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_forbids_scripts_frames_and_referers(visitor: Visitor, path: str) -> None:
    headers = visitor.get(path).headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert "set-cookie" not in headers


@pytest.mark.parametrize("path", ["/", "/u/wrong", "/c/wrong", "/nothing", "/healthz"])
def test_pages_are_not_kept_by_anyone(visitor: Visitor, path: str) -> None:
    assert visitor.get(path).headers["cache-control"] == "no-store"


def test_only_a_style_sheet_is_loaded_and_it_may_be_kept_for_ever(visitor: Visitor) -> None:
    page = visitor.get("/").text
    assert "<script" not in page
    assert "style=" not in page
    (link,) = [part.partition('"')[0] for part in page.split('<link rel="stylesheet" href="')[1:]]
    sheet = visitor.get(link)
    assert sheet.status_code == 200
    assert sheet.headers["content-type"].startswith("text/css")
    assert "immutable" in sheet.headers["cache-control"]


def test_no_page_names_another_host(visitor: Visitor) -> None:
    for path in ("/", "/privacy", "/static/site.css"):
        assert "http" not in visitor.get(path).text.replace("http-equiv", "")


def test_on_this_machine_without_https_browsers_are_not_told_to_insist_on_it(house_of: Callable[..., House]) -> None:
    local = house_of(public_url="http://127.0.0.1:8080")
    assert "strict-transport-security" not in local.visitor().get("/").headers


PROXIES = "10.0.0.0/8 2001:db8:ff::/48"
ADDRESSES = {
    "without a proxy the header is the client's own invention": ("192.0.2.7", ["203.0.113.1"], "192.0.2.7"),
    "a trusted proxy names the client": ("10.0.0.5", ["203.0.113.1"], "203.0.113.1"),
    "what the client wrote itself stands further left": ("10.0.0.5", ["198.51.100.1, 203.0.113.1"], "203.0.113.1"),
    "two trusted proxies": ("10.0.0.5", ["203.0.113.1, 10.9.9.9"], "203.0.113.1"),
    "two headers are one list": ("10.0.0.5", ["198.51.100.1", "203.0.113.1, 10.9.9.9"], "203.0.113.1"),
    "a client that claims to be a trusted proxy": ("192.0.2.7", ["10.0.0.5"], "192.0.2.7"),
    "trusted all the way": ("10.0.0.5", ["10.1.1.1"], "10.1.1.1"),
    "no header": ("10.0.0.5", [], "10.0.0.5"),
    "an empty header": ("10.0.0.5", [""], "10.0.0.5"),
    "a word that is no address": ("10.0.0.5", ["203.0.113.1, unknown"], "10.0.0.5"),
    "with a port": ("10.0.0.5", ["203.0.113.1:4711"], "203.0.113.1"),
    "IPv6": ("2001:db8:ff::1", ["2001:db8:1::7"], "2001:db8:1::7"),
    "IPv6 with a port": ("2001:db8:ff::1", ["[2001:db8:1::7]:4711"], "2001:db8:1::7"),
    "IPv4 within IPv6": ("::ffff:10.0.0.5", ["::ffff:203.0.113.1"], "203.0.113.1"),
    "a very long list": ("10.0.0.5", [", ".join(["10.1.1.1"] * 1000)], "10.1.1.1"),
}


@pytest.mark.parametrize("case", ADDRESSES)
def test_the_clients_address_comes_from_trusted_proxies_only(house_of: Callable[..., House], case: str) -> None:
    peer, forwarded, expected = ADDRESSES[case]
    house = house_of(trusted_proxies=PROXIES)
    house.visitor(peer).post("/", data=house.form(), headers=[("x-forwarded-for", value) for value in forwarded])
    assert [event.ip for event in house.rows("consent_event")] == [expected]
