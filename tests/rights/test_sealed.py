"""The seal of a file: any octet that is not as it was signed is found, with nothing but the file at hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.proof import seal
from dispatcher.domain.proof.seal import Seal
from dispatcher.errors import InputRefused
from dispatcher.rights.records import canonical
from dispatcher.rights.sealed import check, seal_html, seal_json

HTML = "<!DOCTYPE html>\n<p>Am 24. November 2026, 17:03:12 Uhr MEZ wurde … eingetragen.</p>\n".encode()
FACTS = {"person": {"name": "Jörg Weiß"}, "events": [{"id": 1, "ip": None}], "format": "x"}
MAKERS = [lambda by: seal_html(HTML, by), lambda by: seal_json(FACTS, by)]


@pytest.fixture(scope="module")
def by(tmp_path_factory: pytest.TempPathFactory) -> Seal:
    return _key(tmp_path_factory.mktemp("seal"))


def _key(folder: Path) -> Seal:
    return seal.make(folder / "seal_key.pem")


def _is_good(octets: bytes) -> bool:
    try:
        return check(octets).problem is None
    except InputRefused:
        return False


@pytest.mark.parametrize("make", MAKERS)
def test_a_file_is_unchanged_and_names_its_key(by: Seal, make: Callable[[Seal], bytes]) -> None:
    found = check(make(by))
    assert (found.problem, found.key_id) == (None, by.key_id)
    assert seal.key_id(found.pem) == by.key_id


@pytest.mark.parametrize("make", MAKERS)
def test_any_octet_that_is_changed_added_or_taken_away_is_found(by: Seal, make: Callable[[Seal], bytes]) -> None:
    octets = make(by)
    for place in range(len(octets)):
        for other in {octets[place] ^ 1, octets[place] ^ 32, 0, 10}:
            if other != octets[place]:
                assert not _is_good(octets[:place] + bytes([other]) + octets[place + 1 :]), place
        assert not _is_good(octets[:place] + octets[place + 1 :]), place
        for more in b" \n0":
            assert not _is_good(octets[:place] + bytes([more]) + octets[place:]), place
    for more in (b" ", b"\n", octets):
        assert not _is_good(octets + more)


@pytest.mark.parametrize("make", MAKERS)
def test_a_file_sealed_anew_by_somebody_else_bears_another_key(
    by: Seal, make: Callable[[Seal], bytes], tmp_path: Path
) -> None:
    found = check(make(_key(tmp_path)))
    assert found.problem is None
    assert found.key_id != by.key_id
    assert not seal.is_same(found.pem, by.public_pem)


def test_a_seal_does_not_pass_from_one_kind_of_file_to_the_other(by: Seal) -> None:
    sealed = json.loads(seal_json(FACTS, by))["seal"]
    document = canonical(FACTS)
    tail = f"\n<!-- dispatcher seal 1\nkey {sealed['key']}\nsignature {sealed['signature']}\n-->\n".encode()
    assert check(b"\n" + document + tail).problem is not None


@pytest.mark.parametrize(
    "octets",
    [
        b"", b"{", b"{}", b"[]", b'{"dossier":{}}', b'{"dossier":1,"seal":2}', b"\x89PNG\r\n", HTML,
        b'{"dossier":{},"seal":{"key":"x","signature":"zz"}}', b'{"a":' * 100_000,
        b'{"dossier":"\\ud800","seal":{"key":"x","signature":"00"}}',
    ],
)  # fmt: skip
def test_what_is_no_sealed_file_is_refused_in_words(octets: bytes) -> None:
    with pytest.raises(InputRefused) as caught:
        check(octets)
    assert caught.value.cure == "name a file that `dispatcher consent dossier` made"


@given(st.binary(max_size=300), st.sampled_from([b"", b"{", b"\n<!-- dispatcher seal 1\n", b'{"dossier":{},"seal":{']))
def test_no_nonsense_passes_or_breaks_the_check(octets: bytes, start: bytes) -> None:
    assert not _is_good(start + octets)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_", min_size=1), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abc_", min_size=1), json_values, max_size=4))
def test_canonical_json_read_and_written_again_is_the_same(facts: dict[str, Any]) -> None:
    assert canonical(json.loads(canonical(facts))) == canonical(facts)
