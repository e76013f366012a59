"""Whatever a letter may not say is told in the words of whoever writes it; none of compose's refusals is forgotten."""

import pytest

from dispatcher.compose.content import parse_content
from dispatcher.console import faults
from dispatcher.console.paper import say
from dispatcher.db.terms import Language
from dispatcher.errors import ContentInvalid
from tests.compose.test_content import REFUSED


@pytest.mark.parametrize("source", [source for source, _, _ in REFUSED])
def test_every_refusal_has_a_sentence_of_ours(source: str) -> None:
    with pytest.raises(ContentInvalid) as refused:
        parse_content(source, file="a.md")
    told = faults.told(refused.value)
    assert told.key != "other"
    assert [say(language, f"faults.{told.key}", **told.values) for language in Language]


def test_what_nobody_foresaw_is_told_as_it_is() -> None:
    told = faults.told(ContentInvalid("a.md", 3, "something new", "Do this."))
    assert (told.key, told.line, told.said) == ("other", 3, "a.md, line 3: something new. Do this.")
