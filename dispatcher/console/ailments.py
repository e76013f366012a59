"""What is well or not, in words of whoever looks: which sentence says so, with its facts as the language writes them.

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
        return note(language, finding.says)
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
    "count": _number, "others_count": _number, "age": _number, "at": _moment, "day": _day, "problem": _problem,
    "why": _why,
}  # fmt: skip


_AGE = r"(?P<age>[\d,]+) s"
_AT = r"(?P<at>[\d-]+ [\d:]+) UTC"
_WAITING = r"(?P<count>[\d,]+) newsletter batch(?:es)?, (?P<others_count>[\d,]+) confirmations?"
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
    row("schema", r"the database is at revision \S+, this version needs \S+"),
    row("endings_unusable", r"the file of endings (?P<path>.*) cannot be used: (?P<why>.*)"),
    # What is well.
    row("database", r"(?P<name>\w+) answers, schema is current"),
    row("answers", r"answers"),
    row("endings", r"(?P<path>.*) is kept, and the database has all of it"),
    row("keys", r"(?P<count>\d+) known to the database; (?P<signer>\S+) signs"),
    row("unsigned", r"off: the relay has to sign"),
    row("dkim_open", r"letters are signed by (?P<keys>.*); every user here can read (?P<path>.*)"),
    row("dkim", r"letters are signed by (?P<keys>.*)"),
    row("no_seal", r"no key yet: the first checkpoint or dossier makes it"),
    row("seal_open", r"proofs are signed by key (?P<signer>[^;]*); others than its owner can read (?P<path>.*)"),
    row("seal", r"proofs are signed by key (?P<signer>.*)"),
    row("takes_us", r"takes us \((?P<tls>\w+), (?P<count>\d+) lanes\)"),
    row("nobody_needed", r"none runs, and nothing waits for one"),
    row(
        "live",
        rf"(?P<count>[\d,]+) workers? lives?, (?P<sending>\d+) of (?P<all>\d+) processes send; newest sign {_AGE} .*",
    ),
    row("no_relay_off", r"no relay is left alone by the workers"),
    row("work_in", rf"waiting: {_WAITING}, next campaign due in {_AGE}"),
    row("work_now", rf"waiting: {_WAITING}, a campaign is due now"),
    row("work", rf"waiting: {_WAITING}"),
    row("none_stands", r"none waits for anybody"),
    row("none_late", r"no request of a person is overdue"),
    row("told", r"(?P<count>\d+) endpoints are told what happens"),
    row("none_told", r"no endpoint is told anything"),
)
