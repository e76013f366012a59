"""What is not well, in the words of whoever looks: which sentence says so, with its facts as the language writes them.

The house says it in English, for the command line and the log. What stands in no row of the table is shown as it was
said; a test holds the table against what is really found.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

from dispatcher.console.notes import note
from dispatcher.console.paper import Telling, say
from dispatcher.console.recognised import find, row
from dispatcher.console.troubles import trouble
from dispatcher.db.terms import Language
from dispatcher.health import Finding


def ailment(finding: Finding, language: Language) -> str:
    """Say what was found; empty where there is no sentence for it."""
    found = find(_TABLE, finding.says)
    if found is None:
        return ""
    key, facts = found
    return say(language, f"health.says_{key}", **{name: _told(name, text, language) for name, text in facts.items()})


def _told(name: str, text: str, language: Language) -> str:
    return _WRITTEN[name](text, language) if name in _WRITTEN else text


def _number(text: str, language: Language) -> str:
    return Telling(language).number(int(text.replace(",", "")))


def _moment(text: str, language: Language) -> str:
    return Telling(language).moment(datetime.fromisoformat(text).replace(tzinfo=UTC))


def _day(text: str, language: Language) -> str:
    return Telling(language).day(date.fromisoformat(text))


def _why(text: str, language: Language) -> str:
    return note(language, text) or text


def _problem(text: str, language: Language) -> str:
    known = trouble(text)
    return say(language, f"trouble.is_{known.kind}") if known is not None else text


_WRITTEN: Mapping[str, Callable[[str, Language], str]] = {
    "count": _number, "at": _moment, "day": _day, "problem": _problem, "why": _why,
}  # fmt: skip


_AT = r"(?P<at>[\d-]+ [\d:]+) UTC"
_TABLE = (
    row("broker", r"does not answer: (?P<why>.*)"),
    row("no_worker", r"(?P<count>[\d,]+) batch(?:es)? waits?, and no worker gives a sign"),
    row("silent", r"no sign of (?P<count>[\d,]+) process(?:es)?: .*"),
    row("relay_off", rf"(?:off|kept to .*) since {_AT} after (?P<count>[\d,]+) failures?: (?P<why>.*); .*"),
    row("owed", r"lines are owed to (?P<path>.*)"),
    row("other_endings", r"the file of endings (?P<path>.*) is not the one with which this database was used: .*"),
    row("campaigns_still", r"campaign (?P<id>\d+) stands still, (?P<problem>.*); so do (?P<others>[\d, ]+)"),
    row("campaign_still", r"campaign (?P<id>\d+) stands still, (?P<problem>.*)"),
    row("series", r"series (?P<id>\d+) is [\w-]+, .*"),
    row("feed", rf"feed (?P<id>\d+) \((?P<host>.*?)\) brings nothing since {_AT}: .*"),
    row("overdue", r"(?P<count>[\d,]+) requests? (?:is|are) overdue, the oldest since (?P<day>[\d-]+)"),
    row(
        "endpoint_off",
        rf"switched off after three days without an answer: endpoint \d+ \((?P<host>.*?)\) since {_AT}: .*",
    ),
)
