"""SPF, DKIM and DMARC, asked of a real resolver on loopback."""

from dataclasses import replace

import pytest

from dispatcher.compose.dkim import Signer
from dispatcher.compose.dkim_key import Algorithm, SigningKey, make_pem, read_pem
from dispatcher.sending import mx
from dispatcher.sending.preflight.dns_records import check_dns
from dispatcher.sending.preflight.findings import Severity
from tests.dns_server import running_dns
from tests.sending.preflight.conftest import Open
from tests.stage import Stage
from tests.web.visitor import on_sqlite

pytestmark = on_sqlite
KEY = SigningKey("s1", "news.example.de", read_pem(make_pem(Algorithm("ed25519"))))
OTHER = SigningKey("s1", "news.example.de", read_pem(make_pem(Algorithm("ed25519"))))
MX = {"bounce.example.de": ["10 mx.example.de."]}
GOOD = {
    "_dmarc.example.de": ["v=DMARC1; p=reject"],
    "bounce.example.de": ["v=spf1 mx -all"],
    "s1._domainkey.news.example.de": [KEY.record],
}


def told(
    lay: Open, stage: Stage, texts: dict[str, list[str]], *, people: int = 10, signs: bool = True
) -> dict[str, Severity]:
    stationery = replace(stage.stationery, signer=Signer([KEY]) if signs else None)
    with running_dns(MX if "mx" not in texts else {}, texts) as server:
        exam = lay(stationery=stationery, resolver=server.place)
        return {finding.name: finding.severity for finding in check_dns(exam, people)}


def test_records_as_they_should_be_have_nothing_that_is_found(lay: Open, stage: Stage) -> None:
    assert told(lay, stage, GOOD) == {}


def test_a_relay_that_signs_is_told_since_it_cannot_be_seen_from_here(lay: Open, stage: Stage) -> None:
    assert told(lay, stage, GOOD, signs=False) == {"relay_signs": Severity.NOTE}


def test_keys_that_this_process_cannot_read_are_told_and_not_taken_for_a_relay_that_signs(
    lay: Open, stage: Stage
) -> None:
    with running_dns(MX, GOOD) as server:
        exam = lay(resolver=server.place, keys_elsewhere=True)
        assert [(f.name, f.severity) for f in check_dns(exam, 10)] == [("keys_elsewhere", Severity.WARN)]


@pytest.mark.parametrize(
    ("changed", "name", "severity"),
    [
        ({"_dmarc.example.de": None}, "no_dmarc", Severity.WARN),
        ({"_dmarc.example.de": ["v=DMARC1; p=none"]}, "dmarc_watches", Severity.NOTE),
        ({"bounce.example.de": None}, "no_spf", Severity.WARN),
        ({"bounce.example.de": ["v=spf1 -all", "v=spf1 mx"]}, "two_spf", Severity.STOP),
        ({"s1._domainkey.news.example.de": None}, "no_key", Severity.STOP),
        ({"s1._domainkey.news.example.de": [OTHER.record]}, "other_key", Severity.STOP),
        ({"s1._domainkey.news.example.de": ["v=DKIM1; p="]}, "other_key", Severity.STOP),
        ({"mx": ["x"]}, "no_mx", Severity.WARN),
    ],
)
def test_each_record_that_is_not_as_it_should_be_is_told(
    lay: Open, stage: Stage, changed: dict[str, list[str] | None], name: str, severity: Severity
) -> None:
    texts = {key: value for key, value in (GOOD | changed).items() if value is not None}
    assert told(lay, stage, texts) == {name: severity}


def test_from_five_thousand_people_on_no_letter_goes_without_dmarc(lay: Open, stage: Stage) -> None:
    texts = {name: text for name, text in GOOD.items() if not name.startswith("_dmarc")}
    assert told(lay, stage, texts, people=5_000) == {"no_dmarc": Severity.STOP}


def test_when_neither_speaks_for_the_sender_it_stops(lay: Open, stage: Stage) -> None:
    strict = GOOD | {"_dmarc.example.de": ["v=DMARC1; p=reject; aspf=s"]}
    assert told(lay, stage, strict) == {}  # DKIM speaks for it
    del strict["s1._domainkey.news.example.de"]
    assert told(lay, stage, strict) == {"no_key": Severity.STOP, "nothing_aligned": Severity.STOP}


def test_a_dns_that_says_nothing_is_told_and_no_more_is_asked(lay: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mx, "PATIENCE", 0.1)
    with running_dns({"_dmarc.news.example.de": None}) as server:
        (finding,) = check_dns(lay(resolver=server.place), 10)
    assert (finding.name, finding.severity, finding.where) == ("unanswered", Severity.WARN, "_dmarc.news.example.de")


def test_without_a_resolver_nothing_is_asked_and_that_is_told(lay: Open) -> None:
    assert [f.name for f in check_dns(lay(), 10)] == ["off"]
