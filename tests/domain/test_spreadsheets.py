"""The guard against formulas: nothing that is written begins one, and nothing is lost by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.spreadsheets import bare, guarded

CELLS = st.text() | st.text("'=+-@\t\rab", max_size=8)


@given(CELLS)
def test_what_was_guarded_comes_back_as_it_was_and_begins_no_formula(cell: str) -> None:
    assert bare(guarded(cell)) == cell
    assert guarded(cell)[:1] not in set("=+-@\t\r")


@pytest.mark.parametrize("cell", ["=HYPERLINK(1)", "+49 30 1234", "-1", "@SUM(1)", "\t=1", "\r=1"])
def test_a_formula_is_made_text(cell: str) -> None:
    assert guarded(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "Maria", "maria@example.de", "'s-Hertogenbosch", "d'Artagnan"])
def test_what_is_no_formula_stays_as_it_is(cell: str) -> None:
    assert (guarded(cell), bare(cell)) == (cell, cell)
