"""Dossier and export as one HTML file each: nothing is loaded, nothing is run, and it prints as a document.

What must stay true: every value is escaped; the same data lies in the file as JSON, in a block that browsers do not
run.
"""

import re
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dispatcher.assets import templates
from dispatcher.db.terms import Language
from dispatcher.domain.addresses import readable
from dispatcher.rights import exhibits, wording
from dispatcher.rights.records import Facts, canonical

_LT = "\\u003c"  # `<` in a piece of JSON: so that no text in it can end the block or open a comment

_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")  # the legal notice is Markdown: on paper a link is its text


def dossier(facts: Facts, language: Language, key_id: str) -> bytes:
    """Set a dossier; the key's short name stands in it, for the reader to compare."""
    return _render(
        "dossier", language, facts,
        key_id=key_id,
        exhibits=exhibits.exhibits(facts, language),
        summary=exhibits.summary(facts, language),
        data_sha256=sha256(canonical(facts)).hexdigest(),
        is_true_to_hash=_is_all_true(facts),
    )  # fmt: skip


def access(facts: Facts, language: Language) -> bytes:
    """Set an export for the person themselves."""
    return _render("access", language, facts)


def _is_all_true(facts: Facts) -> bool:
    words = (*facts["declarations"], *facts["privacy_notices"])
    return all(_is_true(each) for each in words) and all(each["is_as_frozen"] for each in facts["confirmation_mails"])


def _is_true(words: Facts) -> bool:
    """Say whether the words are still those of which the hash was taken."""
    return sha256(words["text"].encode()).hexdigest() == str(words["sha256"])


def _render(name: str, language: Language, facts: Facts, **more: Any) -> bytes:
    address = facts["person"]["address"] or facts["asked_for"]
    has_moved = facts["asked_hash"] != facts["person"]["address_hash"]
    data = canonical(facts).decode().replace("<", _LT)
    return (
        _environment()
        .get_template(f"{name}.html")
        .render(
            lang=language.value,
            address=address,
            readable=readable(address),
            has_moved=has_moved,
            imprint=_LINK.sub(r"\1", facts["house"]["imprint"]).replace("**", ""),
            facts=facts,
            data=Markup(data),  # noqa: S704  (JSON without `<`)
            say=partial(wording.say, language),
            say_with=partial(wording.say_with, language),
            berlin=partial(wording.berlin, language=language),
            utc=wording.utc,
            topic_name=partial(wording.topic, language=language),
            words=wording.words(language),
            filled=partial(exhibits.filled, language=language),
            **more,
        )
        .encode()
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    folder = templates() / "rights"
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["style"] = Markup((folder / "document.css").read_text(encoding="utf-8"))  # noqa: S704  (our own file)
    return made
