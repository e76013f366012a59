"""Addresses: what people type becomes one spelling, and what cannot be mailed is refused."""

import unicodedata
from collections.abc import Callable
from contextlib import suppress

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.addresses import Address, masked, parse_address, readable, without
from dispatcher.errors import AddressInvalid

ATOM = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~äöüßÄÖÜéŁσς", min_size=1
)
LOCALS = st.lists(ATOM, min_size=1, max_size=3).map(".".join).filter(lambda text: len(text.encode()) <= 50)
LABELS = st.from_regex(r"[a-zA-Z][a-zA-Z0-9]{0,10}", fullmatch=True) | st.sampled_from(["faß", "MÜLLER", "bücher"])
DOMAINS = st.lists(LABELS, min_size=1, max_size=2).map(lambda labels: ".".join([*labels, "example.com"]))


@given(LOCALS, DOMAINS)
def test_to_parse_again_changes_nothing(local: str, domain: str) -> None:
    once = parse_address(f"{local}@{domain}")
    assert parse_address(once.mail) == once
    assert parse_address(once.canonical).canonical == once.canonical
    assert once.domain.isascii()


@given(LOCALS, DOMAINS.filter(lambda domain: "ß" not in domain))  # the capitals of faß are those of fass
def test_case_never_makes_two_people_of_one(local: str, domain: str) -> None:
    typed = f"{local}@{domain}"
    assert parse_address(typed.swapcase()).canonical == parse_address(typed).canonical


@given(st.text(max_size=60))
def test_any_text_is_an_address_without_blanks_and_control_characters_or_is_refused(text: str) -> None:
    with suppress(AddressInvalid):
        address = parse_address(text)
        assert not any(ord(ch) < 33 or ord(ch) == 127 for ch in address.mail)


PLAIN = st.text("abyzABYZ0189.-_+'@", max_size=40) | st.builds(
    "{}@{}".format,
    st.text("abAB09.-_+'/{}", max_size=66) | st.sampled_from(["info", "Info", "POSTMASTER", "news", "newsletter"]),
    st.lists(st.text("abAB09-", max_size=64), max_size=6).map(".".join)
    | st.sampled_from(
        ["example.de", "EXAMPLE.com", "xn--bcher-kva.example.com", "ab--c.de", "a.test", "a.local", "1.2"]
    ),
)


ANY_LETTERS = st.lists(st.text(st.characters(categories=["L", "M", "N", "Pc", "Pd"]), max_size=40), max_size=4)
ANY_DOMAIN = st.builds("{}@{}".format, st.text("aB9.-_+", max_size=66), ANY_LETTERS.map(".".join))


@given(PLAIN | st.text(max_size=40) | st.builds("{}@{}".format, LOCALS, DOMAINS) | ANY_DOMAIN)
def test_the_fast_way_gives_the_librarys_verdict_on_any_text(text: str) -> None:
    assert _verdict(parse_address, text) == _verdict(_as_the_library, text)


def _as_the_library(text: str) -> Address:
    try:
        valid = validate_email(text.strip(), check_deliverability=False, allow_smtputf8=True, strict=True)
    except EmailNotValidError as error:
        raise AddressInvalid(str(error)) from None
    mail = f"{unicodedata.normalize('NFC', valid.local_part)}@{valid.ascii_domain.lower()}"
    return Address(mail, mail.casefold())


def _verdict(parse: Callable[[str], Address], text: str) -> Address | str:
    try:
        return parse(text)
    except AddressInvalid as error:
        return error.what


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("maria@EXAMPLE.de", "maria@example.DE", True),
        ("maria@bücher.example.com", "maria@xn--bcher-kva.example.com", True),
        ("maria@BÜCHER.example.com", "maria@XN--BCHER-KVA.example.com", True),
        ("Maria@example.de", "maria@example.de", True),  # every provider there is treats them as one
        ("INFO@example.de", "info@example.de", True),
        ("ma.ria@example.de", "maria@example.de", False),
        ("maria+gold@example.de", "maria@example.de", False),
        ("maria-gold@example.de", "maria@example.de", False),
        ("maria@example.de", "maria@mail.example.de", False),
    ],
)
def test_two_spellings_are_one_person_or_two(one: str, other: str, are_one: bool) -> None:
    assert (parse_address(one).canonical == parse_address(other).canonical) is are_one


@pytest.mark.parametrize(
    ("typed", "mail", "canonical"),
    [
        ("Maria.Muster@Example.DE", "Maria.Muster@example.de", "maria.muster@example.de"),
        ("  maria@example.de \n", "maria@example.de", "maria@example.de"),
        ("m.a.r.i.a+gold@example.de", "m.a.r.i.a+gold@example.de", "m.a.r.i.a+gold@example.de"),
        ("info@faß.example.com", "info@xn--fa-hia.example.com", "info@xn--fa-hia.example.com"),
        ("info@fass.example.com", "info@fass.example.com", "info@fass.example.com"),
        ("info@BÜCHER.example.com", "info@xn--bcher-kva.example.com", "info@xn--bcher-kva.example.com"),
        ("info@xn--bcher-kva.example.com", "info@xn--bcher-kva.example.com", "info@xn--bcher-kva.example.com"),
        ("JÖRG@example.de", "JÖRG@example.de", "jörg@example.de"),
        ("jo\u0308rg@example.de", "jörg@example.de", "jörg@example.de"),
    ],
)
def test_an_address_is_kept_as_typed_and_compared_in_one_spelling(typed: str, mail: str, canonical: str) -> None:
    address = parse_address(typed)
    assert (address.mail, address.canonical, str(address)) == (mail, canonical, mail)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "maria",
        "maria@",
        "@example.de",
        "maria@example",
        "maria@@example.de",
        "maria muster@example.de",
        "maria@exa mple.de",
        ".maria@example.de",
        "maria..muster@example.de",
        "maria@-example.de",
        "maria@example..de",
        "maria@[192.0.2.1]",
        '"maria muster"@example.de',
        "Maria <maria@example.de>",
        "maria@example.de, josef@example.de",
        "maria@example.de\r\nBcc: josef@example.de",
        "maria\0@example.de",
        "maria@localhost",
        "maria@host.invalid",
        f"{'m' * 65}@example.de",
        f"maria@{'e' * 64}.de",
    ],
)
def test_what_cannot_be_mailed_is_refused(wrong: str) -> None:
    with pytest.raises(AddressInvalid) as caught:
        parse_address(wrong)
    assert caught.value.cure == "check the spelling; it should look like name@example.de"


@pytest.mark.parametrize(
    ("mail", "shown"),
    [("maria@example.de", "m***@example.de"), ("m@example.de", "m***@example.de"), ("ö@example.de", "ö***@example.de")],
)
def test_a_masked_address_is_known_to_its_owner_alone(mail: str, shown: str) -> None:
    assert masked(mail) == shown


ANNA = "anna.müller@xn--bcher-kva.example.de"


@pytest.mark.parametrize(
    "text",
    [
        "550 <anna.müller@xn--bcher-kva.example.de>: no",
        "550 <Anna.Müller@XN--BCHER-KVA.example.de>: no",
        "550 <ANNA.MÜLLER@BÜCHER.EXAMPLE.DE>: no",
        "550 <anna.mu\u0308ller@bu\u0308cher.example.de>: no",
        "550 anna.müller@bücher.example.de: no",
    ],
)
def test_an_address_is_taken_out_of_what_others_say_in_whatever_spelling(text: str) -> None:
    assert without(ANNA, text) == "550 <recipient>: no"


def test_other_addresses_and_words_are_left_as_they_are() -> None:
    said = "550 joanna.müller@bücher.example.de, see postmaster@example.de"
    assert without("anna@example.de", said) == said
    assert without(ANNA, "450 4.7.1 try again later") == "450 4.7.1 try again later"


def test_an_address_reads_as_people_write_it() -> None:
    assert readable(ANNA) == "anna.müller@bücher.example.de"
    assert readable("maria@example.de") == "maria@example.de"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("550 <anna@example.de>; na@example.de", "550 <anna@example.de>; <recipient>"),
        ("x.na@example.de, x-na@example.de", "x.na@example.de, x-na@example.de"),
        ("na@example.dev, na@example.de.example.com", "na@example.dev, na@example.de.example.com"),
        ("to=<NA@example.de>.", "to=<recipient>."),
        ("from <bounce+na=example.de@b.example.com>", "from <bounce+<recipient>@b.example.com>"),
        ("from <bounce+anna=example.de@b.example.com>", "from <bounce+anna=example.de@b.example.com>"),
    ],
)
def test_only_the_address_itself_is_taken_out_in_return_paths_too(said: str, kept: str) -> None:
    assert without("na@example.de", said) == kept
