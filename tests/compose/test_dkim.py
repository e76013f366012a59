"""Signatures: verifiers of other makes take each letter as it leaves, and none in which anything was altered."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dkim.canonicalization import Relaxed
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.compose.dkim import SIGNED, Signer, relaxed_body
from dispatcher.compose.dkim_key import Algorithm
from dispatcher.compose.edition import Edition
from dispatcher.compose.fields import Fields
from dispatcher.compose.letter import Press
from tests.compose.samples import (
    ASKER,
    HEAD,
    READER,
    edition,
    header_lines,
    press,
    sample_edition,
    sample_files,
    service,
)
from tests.stories import stories
from tests.verifier import key, listed, public_half, records_of, signatures, signer, stands, verified

NOW = datetime(2026, 11, 24, 9, 45, tzinfo=UTC)
NAMES = [
    "",
    "Jörg Müller",
    'O\'Brien, "Bob" <b@example.com>',
    "Zoë 🌟 " + "ß" * 60,
    ".",
    "From x",
    "Two  blanks \t tab ",
]
BRANCHES = press(
    "{{ greeting }}{% if name %}  (ja) {% else %} \t(nein)\t{% endif %}  {{ name }}  .\n\n    ein  Block\n",
    subject="{{ name }}:  ein Betreff",
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=100)
BLANKS = st.text("a \t.ä=", max_size=100)


def signed(machine: Press, fields: Fields = READER, by: Signer | None = None) -> bytes:
    return (by or signer()).sign(machine.letter(fields).body, NOW, is_relaxed=machine.is_relaxed)


NEWSLETTER = signed(press())
LETTER_STARTS = NEWSLETTER.index(b"Date: ")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("path", sample_files(), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_sample_letter_is_taken_by_a_verifier_of_another_make(path: Path, name: str) -> None:
    machine = Press(sample_edition(path))
    assert machine.is_relaxed
    assert verified(signed(machine, replace(READER, name=name))) == [True, True]


@pytest.mark.parametrize("kind", ["confirm", "renew", "leave-address", "take-address", "moved"])
@pytest.mark.parametrize("language", ["de", "en"])
def test_letters_around_consent_are_signed_as_well(kind: str, language: str) -> None:
    leaving = {"unsubscribe_url": READER.unsubscribe_url, "unsubscribe_mailto": READER.unsubscribe_mailto}
    letter = signed(service(kind, language), replace(ASKER, **leaving))
    assert verified(letter) == [True, True]
    assert listed(signatures(letter)[0]).count("auto-submitted") == 2


def test_a_signer_keeps_one_frame_for_all_letters_of_an_edition_and_finds_the_right_one() -> None:
    by = Signer(signer().keys)
    editions = [press(subject="{{ name }}: Gold"), press(subject="Silber")]
    first, second = (press_.letter(READER).body for press_ in editions)
    assert first != second
    for machine in [*editions, editions[0]]:
        for name in ["", "Ada", "Jörg Müller", "Zoë " + "ß" * 60]:
            assert verified(signed(machine, replace(READER, name=name), by)) == [True, True]
    kept = len(by._frames)
    assert 1 <= kept <= 2  # above To and below List-Unsubscribe two editions may be the same
    assert verified(signed(service("confirm", "de"), ASKER, by)) == [True, True]
    assert len(by._frames) == kept  # a letter around consent has none


@pytest.mark.parametrize("algorithm", Algorithm)
def test_one_key_alone_signs(algorithm: Algorithm) -> None:
    letter = signed(press(), by=Signer([key(algorithm)]))
    assert [tags["a"] for tags in signatures(letter)] == [f"{algorithm}-sha256"]
    assert verified(letter, records_of(key(algorithm))) == [True]


@given(name=TEXTS | BLANKS, url=TEXTS | BLANKS)
@settings(max_examples=stories(60))
def test_the_fast_way_signs_what_the_standard_says_word_by_word(name: str, url: str) -> None:
    fields = replace(READER, name=name, view_url=url, preferences_url=f"https://news.example.de/{url}")
    letter = signed(BRANCHES, fields)
    assert [stands(letter, at, public_half(k)) for at, k in enumerate(signer().keys)] == [True, True]
    assert verified(letter) == [True, True]
    body = letter.partition(b"\r\n\r\n")[2]
    assert relaxed_body(body) == body


@given(at=st.integers(LETTER_STARTS, len(NEWSLETTER) - 1))
@settings(max_examples=stories(60))
def test_an_altered_octet_anywhere_in_head_or_body_is_noticed(at: int) -> None:
    other = b"#" if NEWSLETTER[at : at + 1] != b"#" else b"%"
    assert verified(NEWSLETTER[:at] + other + NEWSLETTER[at + 1 :]) == [False, False]


@pytest.mark.parametrize("name", SIGNED)
def test_no_field_that_matters_can_be_added(name: str) -> None:
    more = f"{name}: <https://evil.example.com/>\r\n".encode()
    assert verified(more + NEWSLETTER) == [False, False]
    assert verified(NEWSLETTER[:LETTER_STARTS] + more + NEWSLETTER[LETTER_STARTS:]) == [False, False]


@pytest.mark.parametrize("name", ["List-Unsubscribe", "List-Unsubscribe-Post"])
def test_both_fields_of_one_click_are_signed_and_cannot_be_taken_away(name: str) -> None:
    assert [listed(tags).count(name.lower()) for tags in signatures(NEWSLETTER)] == [2, 2]
    without = re.sub(rf"\r\n{name}: .*?(?=\r\n[A-Z])".encode(), b"", NEWSLETTER, flags=re.DOTALL)
    assert len(without) < len(NEWSLETTER)
    assert verified(without) == [False, False]


def test_nothing_can_be_appended() -> None:
    assert verified(NEWSLETTER + b"<p>more</p>\r\n") == [False, False]


def test_what_servers_do_to_blanks_and_folds_on_the_way_does_no_harm() -> None:
    passed_on = NEWSLETTER.replace(b"From: ", b"FROM:  ").replace(b"boundary=", b"\tboundary=")
    received = b"Received: from a by b; Fri, 20 Nov 2026 09:45:01 +0000\r\n"
    assert verified(received + passed_on + b"\r\n\r\n") == [True, True]


def test_every_field_of_our_letters_is_signed_once_more_than_it_is_there() -> None:
    for machine, fields in ((press(), READER), (service("confirm"), ASKER)):
        letter = machine.letter(fields)
        names = re.findall(r"^([A-Za-z-]+):", letter.body.split(b"\r\n\r\n")[0].decode(), re.MULTILINE)
        assert set(names) <= set(SIGNED)
        for tags in signatures(signed(machine, fields)):
            wanted = {name: names.count(name) + 1 for name in SIGNED}
            assert {name: listed(tags).count(name.lower()) for name in SIGNED} == wanted


def test_the_field_says_what_the_standard_asks_for_and_nothing_that_opens_a_door() -> None:
    rsa, ed25519 = signatures(NEWSLETTER)
    assert list(rsa) == list(ed25519) == ["v", "a", "c", "d", "s", "t", "bh", "h", "b"]
    assert (rsa["c"], rsa["d"], rsa["s"]) == ("relaxed/relaxed", "news.example.de", "s2026-rsa")
    assert rsa["t"] == str(int(NOW.timestamp()))
    assert (rsa["a"], ed25519["a"]) == ("rsa-sha256", "ed25519-sha256")


def test_the_same_letter_signed_in_the_same_second_has_the_same_octets() -> None:
    later = datetime(2026, 11, 24, 9, 45, 1, tzinfo=UTC)
    assert signed(press()) == NEWSLETTER
    assert signer().sign(press().letter(READER).body, later, is_relaxed=True) != NEWSLETTER


def test_no_line_of_the_field_is_too_wide_or_begins_with_a_dot() -> None:
    lines = NEWSLETTER[:LETTER_STARTS].decode("ascii").split("\r\n")
    assert max(map(len, lines)) <= 76
    assert all(line.startswith(("DKIM-Signature: ", " ")) for line in lines if line)
    assert not any(line.endswith(" ") for line in lines)


def test_a_long_domain_and_a_long_selector_stand_in_lines_of_their_own() -> None:
    long = replace(key(Algorithm.ED25519), selector="s" * 60, domain=f"{'d' * 60}.example.de")
    letter = signed(press(), by=Signer([long]))
    assert max(map(len, letter.split(b"\r\n\r\n")[0].decode().split("\r\n"))) <= 76
    assert verified(letter, records_of(long)) == [True]


def test_the_letter_itself_is_not_touched() -> None:
    letter = press().letter(READER)
    assert NEWSLETTER[LETTER_STARTS:] == letter.body
    assert header_lines(letter, "Date") == ["Date: Fri, 20 Nov 2026 09:45:00 +0000"]


@pytest.mark.parametrize(("then", "now"), [("Ein =20Satz", "Ein  Satz"), ("Ein =20Satz", "Ein\tSatz")])
def test_an_edition_frozen_before_bodies_were_relaxed_is_signed_the_slow_way(then: str, now: str) -> None:
    old = edition(HEAD + "Ein  Satz {{ name }}\n")
    assert then in old.wire
    machine = Press(Edition(**{f: getattr(old, f) for f in old.__slots__} | {"wire": old.wire.replace(then, now)}))
    assert not machine.is_relaxed
    letter = signed(machine)
    assert now.encode() in letter
    assert verified(letter) == [True, True]


@given(st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b"=", b"."])).map(lambda all_: b"".join([*all_, b"\r\n"])))
def test_the_relaxed_form_of_any_body_is_the_one_of_another_make(body: bytes) -> None:
    assert relaxed_body(body) == Relaxed.canonicalize_body(body)
