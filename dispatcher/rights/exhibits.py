"""A dossier's facts as a reader needs them: acts instead of rows, each an exhibit with a number; a summary in words.

One act of a person is one row per topic in the ledger; here it is told once, with all its topics. What must stay true:
no row is left out, and everything said is in the facts. Pure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from dispatcher.compose.words import listed
from dispatcher.db.terms import ConsentKind, Language, Outcome, SubscriptionState
from dispatcher.rights import addresses
from dispatcher.rights.addresses import Whose
from dispatcher.rights.records import Facts
from dispatcher.rights.wording import berlin, day, say, say_or, topic, utc, words

Line = tuple[str, str]  # a name and what stands behind it


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A numbered piece of proof. `lines` are facts by name; `text` is quoted to the letter; `rows` make a table."""

    number: int
    title: str
    lead: str
    lines: tuple[Line, ...] = ()
    text: str = ""
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Act:
    """Events that happened in one go: the same but for their topics."""

    events: tuple[Facts, ...]

    @property
    def first(self) -> Facts:
        """Give the event whose proof stands for all."""
        return self.events[0]

    def topics(self, language: Language) -> str:
        """Give the topics in words."""
        return listed(list(dict.fromkeys(topic(event["topic"], language) for event in self.events)), language)


def acts(facts: Facts) -> list[Act]:
    """Give what happened, in order."""
    return [Act(tuple(events)) for _, events in groupby(facts["events"], key=_in_one_go)]


def exhibits(facts: Facts, language: Language) -> list[Exhibit]:
    """Give all exhibits: what happened, in which words, what was sent, what forbids to write, what rights were used."""
    pieces = [
        *(_of_act(act, facts, language) for act in acts(facts)),
        *(_of_declaration(each, language) for each in facts["declarations"]),
        *(_of_mail(each, facts, language) for each in facts["confirmation_mails"]),
        *(_of_notice(each, language) for each in facts["privacy_notices"]),
        *_of_letters(facts, language),
        *_of_editions(facts, language),
        *_of_suppressions(facts, language),
        *_of_rights(facts, language),
    ]
    return [Exhibit(number, **piece) for number, piece in enumerate(pieces, 1)]


def summary(facts: Facts, language: Language) -> list[str]:
    """Tell in sentences what the exhibits prove."""
    told = [_sentence(act, number, facts, language) for number, act in enumerate(acts(facts), 1)]
    cut = [say(language, "summary.cut", section=say(language, f"section_names.{name}")) for name in facts["cut"]]
    return [*told, *_letters_told(facts, language), *_standing_told(facts, language), *cut]


def filled(source: str, language: Language) -> str:
    """Give a frozen text with its fields named in the reader's words; the source itself is in the data."""

    def named(field: re.Match[str]) -> str:
        name = next((word for word in re.findall(r"[a-z_]+", field[1]) if word in words(language)["mail_fields"]), "")
        return "{" + say_or(language, f"mail_fields.{name}", "mail_fields.other") + "}"

    return re.sub(r"\{\{(.*?)\}\}", named, re.sub(r"\{%.*?%\}", "", source, flags=re.DOTALL)).strip()


def _in_one_go(event: Facts) -> tuple[Any, ...]:
    # A move is allowed of the former address and asked of the new one: two requests, one act.
    request = event["request_id"] if event["kind"] != ConsentKind.MOVE_ALLOWED else None
    return (request, *(event[name] for name in ("kind", "at", "source", "given_at")))


def _sentence(act: Act, number: int, facts: Facts, language: Language) -> str:
    event = act.first
    whose, hashed = addresses.of_event(facts, event["id"])
    return say_or(
        language, f"summary.{event['kind']}", "summary.other", when=berlin(event["at"], language),
        given=berlin(event["given_at"], language), topics=act.topics(language), source=event["source"],
        ip=event["ip"] or say(language, "document.no_ip"), n=number, kind=event["kind"],
        reply=event["relay_reply"] or say(language, "document.not_kept"),
        **{way: say(language, f"address.{way}_{whose}", hash=hashed[:16]) for way in ("with", "to")},
    )  # fmt: skip


def _letters_told(facts: Facts, language: Language) -> Iterator[str]:
    sent = [
        letter for letter in facts["letters"] if letter["outcome"] == Outcome.SENT and letter["kind"] == "newsletter"
    ]
    if not any(addresses.at_moment(facts, letter["at"])[0] is Whose.THIS for letter in sent):
        yield say(language, "summary.no_letters")
    for (whose, hashed), found in groupby(sent, key=lambda letter: addresses.at_moment(facts, letter["at"])):
        letters = list(found)
        first, last = (berlin(letter["at"], language) for letter in (letters[0], letters[-1]))
        key = "summary.one_letter" if len(letters) == 1 else "summary.letters"
        to = say(language, f"address.to_{whose}", hash=hashed[:16])
        yield say(language, key, count=len(letters), first=first, last=last, to=to)


def _standing_told(facts: Facts, language: Language) -> Iterator[str]:
    if facts["person"]["restricted_at"]:
        yield say(language, "summary.is_restricted", since=berlin(facts["person"]["restricted_at"], language))
    for stands in facts["standing"]:
        about, since = topic(stands["topic"], language), berlin(stands["since"], language)
        key, reasons = f"summary.stands_{stands['state']}", ""
        if stands["state"] == SubscriptionState.CONFIRMED and stands["barred_by"]:
            key = "summary.stands_confirmed_but_barred"
            why = [say_or(language, f"reasons.{each}", "reasons.other", reason=each) for each in stands["barred_by"]]
            reasons = listed(why, language)
        elif stands["state"] == SubscriptionState.CONFIRMED and not stands["words_suffice"]:
            key = "summary.stands_confirmed_under_older_words"
        yield say(language, key, topic=about, since=since, reasons=reasons)


def _of_act(act: Act, facts: Facts, language: Language) -> dict[str, Any]:
    event = act.first
    return {
        "title": say_or(language, f"kinds.{event['kind']}", "kinds.other", kind=event["kind"]),
        "lead": say_or(language, f"leads.{event['kind']}", "leads.other"),
        "lines": tuple(_lines_of(act, facts, language)),
    }


def _lines_of(act: Act, facts: Facts, language: Language) -> Iterator[Line]:
    event = act.first
    yield say(language, "names.at_berlin"), berlin(event["at"], language)
    yield say(language, "names.at"), utc(event["at"])
    if event["given_at"]:
        yield say(language, "names.given_at"), f"{berlin(event['given_at'], language)} ({utc(event['given_at'])})"
    yield say(language, "names.topics"), act.topics(language)
    whose, hashed = addresses.of_event(facts, event["id"])
    if whose is not Whose.THIS:
        yield say(language, f"address.name_{whose}"), hashed
    for name in ("source", "ip", "user_agent", "language", "message_id", "relay_reply", "mail_template", "mail_sha256"):
        if event[name]:
            yield say(language, f"names.{name}"), str(event[name])
    declared = [each for each in facts["declarations"] if each["id"] == event["declaration_id"]]
    for each in declared:
        yield say(language, "names.declaration"), _name_of(each)
        yield say(language, "names.declaration_sha256"), each["sha256"]
    if event["declaration_named"]:
        yield say(language, "names.declaration_named"), event["declaration_named"]
    if event["privacy_sha256"]:
        yield say(language, "names.privacy_sha256"), event["privacy_sha256"]
    yield say(language, "names.events"), ", ".join(str(each["id"]) for each in act.events)


def _of_declaration(each: Facts, language: Language) -> dict[str, Any]:
    return {
        "title": say(language, "document.words", name=_name_of(each)),
        "lead": say(language, "document.words_lead"),
        "text": each["text"],
        "lines": (
            (say(language, "names.version"), _name_of(each)),
            (say(language, "names.language"), each["language"]),
            (say(language, "names.topics"), listed([topic(t, language) for t in each["topics"]], language)),
            (say(language, "names.valid_from"), f"{berlin(each['valid_from'], language)} ({utc(each['valid_from'])})"),
            (say(language, "names.sha256"), each["sha256"]),
        ),
    }


def _of_mail(mail: Facts, facts: Facts, language: Language) -> dict[str, Any]:
    proven = [e["id"] for e in facts["events"] if e["request_id"] == mail["request_id"]]
    return {
        "title": say(language, "document.mail"),
        "lead": say(language, "document.mail_lead"),
        "text": f"{filled(mail['subject'], language)}\n\n{filled(mail['text'], language)}",
        "lines": (
            (say(language, "names.language"), mail["language"]),
            (say(language, "names.events"), ", ".join(map(str, proven))),
            (say(language, "names.edition_sha256"), mail["sha256"]),
        ),
    }


def _of_notice(notice: Facts, language: Language) -> dict[str, Any]:
    shown = notice["first_shown_at"]
    return {
        "title": say(language, "document.notice"),
        "lead": say(language, "document.notice_lead"),
        "text": notice["text"].strip(),
        "lines": (
            (say(language, "names.language"), notice["language"]),
            (say(language, "names.first_shown_at"), f"{berlin(shown, language)} ({utc(shown)})"),
            (say(language, "names.sha256"), notice["sha256"]),
        ),
    }


def _of_letters(facts: Facts, language: Language) -> Iterator[dict[str, Any]]:
    if not facts["letters"]:
        return
    names = ("letter", "outcome", "at_both", "relay", "reply", "consent_event_id")
    yield {
        "title": say(language, "document.letters"),
        "lead": say(language, "document.letters_lead"),
        "head": tuple(say(language, f"names.{name}") for name in names),
        "rows": tuple(_row_of(letter, language) for letter in facts["letters"]),
    }


def _row_of(letter: Facts, language: Language) -> tuple[str, ...]:
    confirmation = say(language, "document.confirmation_mail")
    is_newsletter = letter["kind"] == "newsletter"
    return (
        f"{_letter_no(letter)}: {letter['subject']}\n{topic(letter['topic'], language)}"
        if is_newsletter
        else f"{letter['campaign_id']}: {confirmation}",
        say_or(language, f"outcomes.{letter['outcome']}", "outcomes.other", outcome=letter["outcome"]),
        f"{berlin(letter['at'], language)}\n{utc(letter['at'])}",
        letter["relay"] or "",
        letter["reply"] or "",
        str(letter["consent_event_id"] or ""),
    )


def _letter_no(each: Facts) -> str:
    """Give a letter's number, with that of its edition where it is not the first."""
    no = each["edition_no"] or 1
    return f"{each['campaign_id']}" if no == 1 else f"{each['campaign_id']}, {no}."


def _of_editions(facts: Facts, language: Language) -> Iterator[dict[str, Any]]:
    if not facts["editions"]:
        return
    yield {
        "title": say(language, "document.editions"),
        "lead": say(language, "document.editions_lead"),
        "head": tuple(say(language, f"names.{name}") for name in ("letter", "language", "edition_sha256")),
        "rows": tuple((_letter_no(each), each["language"], each["sha256"]) for each in facts["editions"]),
    }


def _of_suppressions(facts: Facts, language: Language) -> Iterator[dict[str, Any]]:
    if not facts["suppressions"]:
        return
    yield {
        "title": say(language, "document.suppressions"),
        "lead": say(language, "document.suppressions_lead"),
        "head": tuple(say(language, f"names.{name}") for name in ("topics", "reason", "at_both", "source")),
        "rows": tuple(
            (
                topic(entry["scope"], language),
                say_or(language, f"reasons.{entry['reason']}", "reasons.other", reason=entry["reason"]),
                f"{berlin(entry['at'], language)}\n{utc(entry['at'])}",
                entry["source"],
            )
            for entry in facts["suppressions"]
        ),
    }


def _of_rights(facts: Facts, language: Language) -> Iterator[dict[str, Any]]:
    if not facts["rights"]:
        return
    yield {
        "title": say(language, "document.rights"),
        "lead": say(language, "document.rights_lead"),
        "head": tuple(say(language, f"names.{name}") for name in ("right", "received_at", "due_on", "done_at", "done")),
        "rows": tuple(
            (
                say(language, f"rights.{asked['kind']}"),
                day(asked["received_at"], language),
                day(asked["due_on"], language),
                berlin(asked["done_at"], language),
                asked["outcome"] if asked["done_at"] else say(language, "document.open"),
            )
            for asked in facts["rights"]
        ),
    }


def _name_of(declaration: Facts) -> str:
    return f"{declaration['key']}-{declaration['version']}"
