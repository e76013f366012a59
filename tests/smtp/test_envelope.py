"""The envelope's commands, and what EHLO offers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.errors import InputRefused
from dispatcher.smtp.envelope import Offers, Parcel, commands, read_offers, unfit, xtext
from tests.smtp.letters import letter

ALL = Offers(pipelining=True, dsn=True, smtputf8=True, eight_bit=True, has_size=True, size=100_000)


@pytest.mark.parametrize(
    ("lines", "offers"),
    [
        ([], Offers()),
        (["PIPELINING", "DSN", "SMTPUTF8", "8BITMIME", "SIZE 100000"], ALL),
        (["pipelining", "Dsn"], Offers(pipelining=True, dsn=True)),
        (["SIZE"], Offers(has_size=True)),
        (["SIZE 0"], Offers(has_size=True)),
        (["SIZE many"], Offers(has_size=True)),
        (["SIZE " + "9" * 5000], Offers(has_size=True)),
        (["STARTTLS"], Offers(starttls=True)),
        (["AUTH PLAIN LOGIN"], Offers(log_ins=frozenset({"PLAIN", "LOGIN"}))),
        (["AUTH PLAIN", "AUTH=LOGIN"], Offers(log_ins=frozenset({"PLAIN", "LOGIN"}))),
        (["", "X-UNKNOWN 1 2", "PIPELININGS"], Offers()),
    ],
)
def test_an_ehlo_reply_tells_what_is_offered(lines: list[str], offers: Offers) -> None:
    assert read_offers(lines) == offers


@given(st.text())
def test_xtext_is_printable_ascii_and_can_be_read_back(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    written = xtext(text)
    assert re.fullmatch(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*", written)
    octets = re.sub(r"\+([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), written).encode("latin-1")
    assert octets.decode() == text


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=60))
def test_whatever_the_addresses_hold_a_command_is_one_line(sender: str, recipient: str, envelope_id: str) -> None:
    try:
        parcel = Parcel(
            sender,
            recipient,
            ["x\r\n"],
            needs_smtputf8=True,
            envelope_id=envelope_id.encode("utf-8", "ignore").decode(),
        )
    except InputRefused:
        return
    for command in commands(parcel, ALL):
        assert command.endswith("\r\n")
        assert not re.search(r"[\x00-\x1f\x7f]", command[:-2])
        assert re.fullmatch(r"[^<>]*<[^<>]*>(?: [!-~]+)*", command[:-2], re.DOTALL)


@pytest.mark.parametrize("recipient", ["anna@example.de", "jörg@example.de"])
def test_a_letter_knows_how_long_it_is_on_the_wire(recipient: str) -> None:
    pieces = ["To: ", recipient, "\r\n\r\nHallo\r\n"]
    parcel = Parcel("b@example.de", recipient, pieces, needs_smtputf8=not recipient.isascii())
    assert parcel.size == len(parcel.octets()) == len("".join(pieces).encode())


def test_an_envelope_id_that_is_too_long_is_left_out_whole() -> None:
    mail, _ = commands(letter(envelope_id="+" * 34), ALL)
    assert "ENVID" not in mail


def test_a_letter_of_just_the_relays_size_fits() -> None:
    parcel = letter()
    assert unfit(parcel, Offers(has_size=True, size=parcel.size), "r") is None
    assert unfit(parcel, Offers(has_size=True, size=parcel.size - 1), "r") is not None
    assert unfit(parcel, Offers(has_size=True), "r") is None
