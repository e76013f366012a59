"""A file of people, row by row: what it says, or why it cannot be read. Nothing here knows the database.

What must stay true: consent counts as given in words of ours only if they cover its topics and were valid by then.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import BinaryIO

from dispatcher.db.terms import Language
from dispatcher.domain import zones
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import Address, parse_address, without, without_name
from dispatcher.domain.imports.claims import Cell, claims
from dispatcher.domain.imports.columns import Instructions, Layout, layout
from dispatcher.domain.imports.lines import lines_of
from dispatcher.domain.imports.records import Record, Records
from dispatcher.domain.imports.rows import Claim, Rejected, Row, Says
from dispatcher.domain.spreadsheets import bare
from dispatcher.domain.tokens import Keyring
from dispatcher.domain.typed import clean_name
from dispatcher.domain.versions import Version, why_not_under
from dispatcher.errors import InputRefused

NO_WORDS: Mapping[str, Version] = {}
_Naming = Callable[[Sequence[str]], Cell]


@dataclass(frozen=True, slots=True)
class Table:
    """An open file whose header was understood; its rows can be read once."""

    header: list[str]
    layout: Layout
    how: Instructions
    records: Records

    def rows(
        self, keyring: Keyring, now: datetime, words: Mapping[str, Version] = NO_WORDS
    ) -> Iterator[Row | Rejected]:
        """Read it row by row; `words` are the declarations known here, by name. Raises InputRefused where it turns out
        to be no text.
        """
        named = _cells(self.layout)
        for record in self.records:
            yield self._row(record, named, keyring, now, words)

    def _row(
        self, record: Record, named: _Naming, keyring: Keyring, now: datetime, words: Mapping[str, Version]
    ) -> Row | Rejected:
        line, cells, problem = record
        try:
            if problem:
                raise InputRefused(problem)
            _check(cells, self.header)
            cell = named(cells)
            address = parse_address(cell("email"))
            name = clean_name(cell("name") or f"{cell('first_name')} {cell('last_name')}")
            told = claims(cell, self.layout, self.how, now)
            _check_words(told, words)
            return Row(
                line,
                address,
                address_hash(keyring, address),
                name,
                _language(cell("language")),
                tuple(_unnamed(each, address, name) for each in told),
                _zone(cell("zone")),
            )
        except InputRefused as error:
            return Rejected(line, error.what, tuple(cells))


def _check_words(told: Sequence[Claim], words: Mapping[str, Version]) -> None:
    """Raise InputRefused for consent in words of ours that cannot have been given in them."""
    for claim in told:
        version = words.get(claim.declaration or "")
        if claim.says is Says.AGREED and version is not None and claim.at is not None:
            reason = why_not_under(version, claim.topics, claim.at)
            if reason is not None:
                raise InputRefused(reason)


def _unnamed(claim: Claim, address: Address, name: str) -> Claim:
    """The ledger keeps these words for good, also of somebody who is erased: they must not repeat address or name."""
    source = without_name(name, without(address.mail, claim.source)) if claim.source else claim.source
    declaration = without(address.mail, claim.declaration) if claim.declaration else claim.declaration
    if source == claim.source and declaration == claim.declaration:
        return claim  # nearly always
    return claim._replace(source=source, declaration=declaration)


def open_table(file: BinaryIO, how: Instructions) -> Table:
    """Read a file's header. Raises InputRefused, with the cure, for what is no file of people."""
    if how.file_name.lower().startswith("nonsubscribed"):
        raise InputRefused(
            f"{how.file_name} lists people who never subscribed: nobody of them may be asked or written to",
            "leave this file out; Mailchimp's files of people are subscribed_..., unsubscribed_... and cleaned_...",
        )
    records = Records(lines_of(file, how.encoding))
    return Table(records.header, layout(records.header, how), how, records)


def read_rows(
    file: BinaryIO,
    keyring: Keyring,
    now: datetime,
    how: Instructions | None = None,
    words: Mapping[str, Version] = NO_WORDS,
) -> Iterator[Row | Rejected]:
    """Read a file from its first line to its last. Raises InputRefused for a file that is none: encoding, header."""
    yield from open_table(file, how or Instructions()).rows(keyring, now, words)


class _Told(dict[str, str]):
    """What stands in a row, by our names of its columns: nothing under any other."""

    def __missing__(self, name: str) -> str:
        return ""


def _cells(where: Layout) -> _Naming:
    """Give what finds the cells of a row by name, stripped."""
    names, places = tuple(where.at), tuple(where.at.values())
    if where.is_guarded:
        return lambda cells: _Told(zip(names, (bare(cells[at]).strip() for at in places), strict=True)).__getitem__
    pick = itemgetter(*places, places[0])  # of one place alone it would give no tuple
    return lambda cells: _Told(zip(names, map(str.strip, pick(cells)), strict=False)).__getitem__


def _check(cells: list[str], header: Sequence[str]) -> None:
    if len(cells) != len(header):
        raise InputRefused(f"{len(cells)} cells where the header has {len(header)}")
    if "\0" in "".join(cells):
        raise InputRefused("contains a NUL character")  # which PostgreSQL cannot store
    if cells[0].lstrip("\ufeff").strip() == header[0] and [cell.strip() for cell in cells][1:] == header[1:]:
        raise InputRefused("it is the header once more: two files in one, perhaps")


def _language(text: str) -> Language:
    if not text:
        return Language.DE
    if text.lower() not in _LANGUAGES:
        raise InputRefused(f"there is no language {text!r}; use {' or '.join(Language)}")
    return _LANGUAGES[text.lower()]


def _zone(text: str) -> str | None:
    if text and not zones.is_known(text):
        raise InputRefused(f"there is no time zone {text[:50]!r}; use a name such as Europe/Berlin, or leave it empty")
    return text or None


_LANGUAGES = {language.value: language for language in Language}
