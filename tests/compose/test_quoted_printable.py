"""Quoted-printable against the standard library's decoder, and the promises about every line."""

import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.compose.quoted_printable import constant, filled

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=300)
VALUE = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=200),
    st.text("abc \t.=From<&ä", max_size=200),
    st.integers(70, 80).map(lambda length: "." * length),
)


def check_lines(encoded: str) -> None:
    for line in encoded.split("\r\n"):
        assert len(line) <= 76
        assert line.isascii()
        assert not line.startswith((".", "From "))
        assert not line.endswith(" ")
        assert "  " not in line
        assert "\t" not in line
        assert "\r" not in line
        assert "\n" not in line


def decoded(encoded: str) -> str:
    return quopri.decodestring(encoded.encode("ascii")).decode().replace("\r\n", "\n")


@given(TEXT, st.booleans())
def test_a_constant_is_read_back_and_opens_no_template(text: str, soft: bool) -> None:
    encoded = constant(text, soft=soft)
    check_lines(encoded)
    assert decoded(encoded) == text
    assert not set("{}") & set(encoded)


@given(TEXT, VALUE, TEXT, VALUE)
def test_values_between_constants_are_read_back(first: str, value: str, second: str, other: str) -> None:
    encoded = constant(first, soft=True) + filled(value) + constant(second, soft=True) + filled(other)
    check_lines(encoded)
    assert decoded(encoded) == f"{first}{value}{second}{other}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ""),
        ("Maria", "Maria=\r\n"),
        (".hidden", "=2Ehidden=\r\n"),
        ("From here", "=46rom here=\r\n"),
        ("Jörg", "J=C3=B6rg=\r\n"),
        ("a=b", "a=3Db=\r\n"),
        ("a  b", "a =20b=\r\n"),
        ("a    ä", "a =20 =20=C3=A4=\r\n"),
        ("a\tb", "a=09b=\r\n"),
        ("x" * 75, "x" * 75 + "=\r\n"),
        ("x" * 76, "x" * 75 + "=\r\nx=\r\n"),
    ],
)
def test_a_value_has_lines_of_its_own(value: str, expected: str) -> None:
    assert filled(value) == expected


def test_a_blank_before_a_real_line_end_is_spelled_out() -> None:
    assert constant("a \nb\t\nc ", soft=False) == "a=20\r\nb=09\r\nc=20"
