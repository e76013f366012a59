"""Pieces, one behind the other, are what Jinja2 renders; what no field alters is the same string in every letter."""

import pytest
from jinja2 import UndefinedError

from dispatcher.compose.rendering import Environment, PiecesEnvironment, compiled, compiled_to_pieces
from tests.compose.samples import READER, press

FILTERS = {"loud": str.upper}
TEXT = Environment(FILTERS, "\r\n")
PIECES = PiecesEnvironment({**FILTERS, "joined": lambda pieces: f"<{''.join(pieces)}>"}, "\r\n")
FIELDS = ("name", "link")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "no field\n",
        "{{ name }}",
        "{% set loud = (name)|loud %}{{ loud }} and {{ loud }}, see {{ link }}\n",
        "{% if name %}{{ name|loud }}{% if link %} ({{ link }}){% endif %}{% elif link %}-{% else %}nobody{% endif %}.",
        "{{ '{' }}{ name }{{ '{' }}% if %}{{ 'a' ~ name ~ 1 }}",
    ],
)
def test_pieces_one_behind_the_other_are_what_jinja_renders(source: str) -> None:
    letter = compiled_to_pieces(PIECES, FIELDS, source)
    for name, link in [("Anna", "https://www.example.de"), ("", "x"), ("", ""), ("{{ link }}", "{% if %}")]:
        assert "".join(letter(name, link)) == compiled(TEXT, source).render(name=name, link=link)


def test_a_filter_around_a_block_is_given_its_pieces() -> None:
    letter = compiled_to_pieces(PIECES, FIELDS, "To: {% filter joined %}Dear {{ name }},{% endfilter %}\n")
    assert letter("Anna", "") == ["To: ", "<Dear Anna,>", "\r\n"]


def test_a_field_that_nobody_hands_over_is_refused() -> None:
    with pytest.raises(UndefinedError):
        compiled_to_pieces(PIECES, FIELDS, "{{ address }}")("Anna", "")


def test_letters_of_an_edition_share_what_is_the_editions_own() -> None:
    machine = press()
    one, other = machine.letter(READER).pieces, machine.letter(READER).pieces
    own = sum(len(mine) for mine, theirs in zip(one, other, strict=True) if mine is not theirs)
    assert own < 1000 < sum(len(piece) for piece in one) / 5
