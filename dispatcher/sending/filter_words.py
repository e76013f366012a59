"""A filter of an audience, said in words: "reads German; agreed on 1 January 2026 or later".

The words lie in templates/audience, a file per language with the same keys. What must stay true: a filter in words says
each of its conditions, and nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from string import Template
from typing import Any

from sqlalchemy import Connection, select

from dispatcher import yaml_files
from dispatcher.assets import templates
from dispatcher.compose.words import long_date
from dispatcher.db.tables import campaign
from dispatcher.db.terms import Language
from dispatcher.domain.addresses import readable
from dispatcher.domain.audience.filters import DAYS, Condition, Field, Filter


def say(conn: Connection, of: Filter, language: Language) -> str:
    """Give a filter in one line; of none, that it is for everybody who agreed."""
    return "; ".join(conditions(conn, of, language)) or str(words(language)["everybody"])


def conditions(conn: Connection, of: Filter, language: Language) -> list[str]:
    """Give each condition in words."""
    names = names_of(conn, of.earlier)
    return [*_said(of.only, "only", names, language), *_said(of.without, "without", names, language)]


def value(field: Field, word: str, language: Language) -> str:
    """Give one of the values that a field has, in words."""
    return str(words(language)["values"].get(field, {}).get(word, word))


def names_of(conn: Connection, numbers: Iterable[int]) -> dict[int, str]:
    """Give what campaigns are called, by number."""
    c = campaign.c
    return dict(conn.execute(select(c.id, c.name).where(c.id.in_(list(numbers)))).all())


@lru_cache(maxsize=2)
def words(language: Language) -> Mapping[str, Any]:
    """Give the words of a language."""
    path = templates() / "audience" / f"words.{language}.yaml"
    found: Mapping[str, Any] = yaml_files.read(path)
    return found


def _said(of: Iterable[Condition], way: str, names: Mapping[int, str], language: Language) -> Iterator[str]:
    table = words(language)
    for one in of:
        values = f" {table['or']} ".join(_values(one, names, language))
        yield Template(table[one.field][way]).substitute(values=values)


def _values(of: Condition, names: Mapping[int, str], language: Language) -> list[str]:
    if of.field in DAYS:
        return [long_date(of.day, language)]
    if of.field is Field.RECEIVED:
        shape = Template(words(language)["campaign"])
        return [shape.substitute(name=names.get(number, ""), number=number) for number in of.numbers]
    if of.field is Field.DOMAIN:
        return [readable(f"@{domain}").removeprefix("@") for domain in of.values]
    return [value(of.field, word, language) for word in of.values]
