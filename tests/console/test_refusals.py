"""Why a row or a file cannot be read is told in the reader's language: the table against what the reader says."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dispatcher.console.paper import has
from dispatcher.console.refusals import refusal
from dispatcher.db.terms import Language
from dispatcher.domain import imports
from dispatcher.domain.imports import Instructions
from dispatcher.domain.imports.rows import Rejected
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import InputRefused

NOW = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
ROWS = (
    "broken,,,finance-news,,,,", 'q@example.de,"Q,de,finance-news,,,,', "a@example.de,,de",
    "\0@example.de,,,finance-news,,,,",
    "a@example.de,,xx,finance-news,,,,", "a@example.de,,,gold,,,,", "a@example.de,,,,,,,",
    "a@example.de,A,de,finance-news,yesterday,,form,", "a@example.de,A,de,finance-news,2099-01-31T00:00:00,,form,",
    "a@example.de,A,de,finance-news,2026-01-31T14:05:00,999.1.1.1,form,",
    f"a@example.de,{'x' * 201},,finance-news,,,,",
    "a@example..de,,,finance-news,,,,", "a b@example.de,,,finance-news,,,,", "a@b@example.de,,,finance-news,,,,",
    "a@localhost,,,finance-news,,,,", "a@-example.de,,,finance-news,,,,", f"{'a' * 65}@example.de,,,finance-news,,,,",
    "email,name,language,topics,consent_at,consent_ip,consent_source,declaration",
)  # fmt: skip
FILES = (
    b"", b"maria@example.de\n", b"name\nMaria\n", b"email,email\n", b"email,shoe\n", b"email\nx@example.de\n",
    b"topics\nfinance-news\n", "email,topics\nm\xfcller@example.de,\n".encode("latin-1"), "email\n".encode("utf-16"),
    b"x" * 30_000,
)  # fmt: skip


def test_whatever_cannot_be_read_is_told_in_the_readers_language(keyring: Keyring, tmp_path: Path) -> None:
    header = "email,name,language,topics,consent_at,consent_ip,consent_source,declaration\n"
    said = []
    for row in ROWS:
        (tmp_path / "rows.csv").write_text(header + row + "\n", encoding="utf-8")
        with (tmp_path / "rows.csv").open("rb") as file:
            (read,) = imports.read_rows(file, keyring, NOW)
        assert isinstance(read, Rejected), row
        said.append(read.reason)
    for content in FILES:
        (tmp_path / "file.csv").write_bytes(content)
        with (tmp_path / "file.csv").open("rb") as file, pytest.raises(InputRefused) as refused:
            list(imports.read_rows(file, keyring, NOW, Instructions()))
        said.append(refused.value.what)
    found = {sentence: refusal(sentence).key for sentence in said}
    assert {sentence: key for sentence, key in found.items() if not key} == {}
    keys = [key for key in found.values() if not all(has(language, f"refusals.{key}") for language in Language)]
    assert keys == []


def test_what_nobody_has_words_for_is_told_as_it_was_said() -> None:
    assert refusal("the moon is full") == ("", {}, "the moon is full")
