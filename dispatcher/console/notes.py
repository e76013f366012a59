"""What the house wrote down in words, told in the reader's language: why it held, refused or ended something.

It is written down in English, for the command line and the API too, and recognised by its form. What was refused is
told as at a form (objections.py), and content that cannot be read as to whoever writes it (faults.py). What stands in
no row is shown as it was said; a test holds the table against the source of those who say it. Pure: tables.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from dispatcher.console.objections import objection, worded
from dispatcher.console.paper import Telling, has, say
from dispatcher.console.recognised import find, row
from dispatcher.db.terms import Language
from dispatcher.errors import ContentInvalid, InputRefused
from dispatcher.sending.binding import CHANGED
from dispatcher.sending.preflight.findings import Check, title


def note(language: Language, said: str | None) -> str:
    """Say it; empty where there is no sentence for it, or nothing was said."""
    if not said:
        return ""
    found = find(_TABLE, said)
    if found is None:
        return _refusal(language, said)
    key, facts = found
    told = {name: _WRITTEN[name](language, text) if name in _WRITTEN else text for name, text in facts.items()}
    return say(language, f"notes.{key}", **told)


def _refusal(language: Language, said: str) -> str:
    """Say what was refused; a cure may stand behind it, after a semicolon."""
    ends = [*(found.start() for found in re.finditer("; ", said)), len(said)]
    in_file = _IN_FILE.match(said)
    if in_file is not None:
        file, line = in_file[1], int(in_file[2] or 0)
        invalid = (ContentInvalid(file, line, said[in_file.end() : end]) for end in ends if end > in_file.end())
        sentence = next(filter(None, (worded(objection(fault), language) for fault in invalid)), "")
        return f"{say(language, 'faults.at_line', line=line)} {sentence}" if line and sentence else sentence
    refused = (objection(InputRefused(said[:end])) for end in reversed(ends))
    return next(filter(None, (worded(of, language) for of in refused)), "")


def _nested(language: Language, text: str) -> str:
    return note(language, text) or text


def _number(language: Language, text: str) -> str:
    return Telling(language).number(int(text.replace(",", "")))


def _moment(language: Language, text: str) -> str:
    at = datetime.fromisoformat(text)
    return Telling(language).moment(at if at.tzinfo else at.replace(tzinfo=UTC))


def _wall_time(language: Language, text: str) -> str:
    return Telling(language).wall_time(text)


def _step(language: Language, text: str) -> str:
    key = f"notes.step_{text.removeprefix('the ').replace(' ', '_').replace(',', '')}"
    return say(language, key) if has(language, key) else text


def _checks(language: Language, text: str) -> str:
    return ", ".join(title(Check(name), language) if name in list(Check) else name for name in text.split(", "))


def _changed(language: Language, text: str) -> str:
    return ", ".join(say(language, f"checking.changed_{name}") for name, words in CHANGED.items() if words in text)


def _state(language: Language, text: str) -> str:
    key = f"campaign.state_{text}"
    return say(language, key) if has(language, key) else text


_WRITTEN: Mapping[str, Callable[[Language, str], str]] = {
    "line": _nested, "what": _nested, "people": _number, "events": _number, "there": _number, "at": _moment,
    "of": _wall_time, "until": _wall_time, "step": _step, "checks": _checks, "changed": _changed, "state": _state,
}  # fmt: skip

_IN_FILE = re.compile(r"([^:;]+\.md)(?:, line (\d+))?: ")
_LOCAL = r"\d{4}-\d\d-\d\d \d\d:\d\d"
_STEP = r"(?P<step>[\w ]+(?:, the \w+)?)"
_POINT = r"the checkpoint of (?P<at>\d{4}-\d\d-\d\dT\S+) speaks of "
_TABLE = (
    # Why a campaign is held, or makes no progress.
    row("stale", rf"held: its prices are of (?P<of>{_LOCAL}) \S+ and were good until (?P<until>{_LOCAL}) \S+; .*"),
    row("put_back", r"held: the database was put back .* while this was under way; .*: (?P<people>[\d,]+) \w+"),
    row("launched_since", r"held: it was launched after the backup that was put back; .*"),
    row("time_came", r"held: its time came while the database was gone; .*"),
    row("lost", r"it was written and launched after the backup that was put back: .*"),
    row("spoilt", r"more than (?P<share>\d+) % of the letters could not be composed: .*"),
    row("unreadable", r"the stored letter cannot be read"),
    row("altered", r"the stored edition was altered after it was frozen(?:; .*)?"),
    row("subject", r"the rest waits for its subject: .*"),
    row("by_feed", r"brought by feed \d+, and waits for somebody to look at it: .*"),
    row("feed_stopped", r"feed \d+ could not release it: preflight stops it \((?P<checks>.*)\); .*"),
    row("feed_refused", r"feed \d+ could not release it \((?P<what>.*)\); look at it, .*"),
    row("set_aside", r"set aside: the worker ended (?P<times>\d+) times over this letter"),
    row("stands", r"the campaign is (?P<state>[\w-]+)"),
    row("was_changed", r"the campaign was changed"),
    row("prices_old", r"the campaign's prices are too old"),
    row("taken_over", r"the batch was claimed by another worker"),
    row("went_back", r"the database was put back to an earlier state"),
    row("database_away", r"the database did not answer at the gate"),
    row("database_refused", r"the database refused what was to be written: .*"),
    row("lease_over", r"the lease may have ended before the dot could leave"),
    # Why a release ended, an issue did not come, or a look came to no result.
    row("outdated", r"not sent: since the release has changed (?P<changed>[^;]*)(?:; .*)?"),
    row("taken_back", r"taken back by (?P<name>[^:]*): (?P<why>.*)"),
    row("released_anew", r"released anew"),
    row("series_ended", r"its series has ended"),
    row("unsure", r"held: .*; whether the issue of (?P<at>\d{4}-\d\d-\d\d \d\d:\d\d) UTC went out, you have to know"),
    row("unforeseen", r"it ended by a fault of the program; the log names it"),
    # A relay; where its name stands beside, the sentence does without.
    row("of_relay", r"relay (?P<relay>\S+?), (?P<line>.*)"),
    row("no_answer", rf"{_STEP}: (?:no (?:answer|reply) within|waited) (?P<seconds>[\d.]+) s(?: for .*)?"),
    row("untrusted", rf"{_STEP}: its certificate is not trusted for (?P<host>[^\s:]+): (?P<why>.*)"),
    row("closed", rf"{_STEP}: the relay closed the connection"),
    row("broke", rf"{_STEP}: the connection broke(?:: (?P<why>.*))?"),
    row("unreachable", r"the connection: (?P<why>.*)"),
    row("handshake", r"the TLS handshake: (?P<why>.*)"),
    row("spoke_early", rf"{_STEP}: it spoke before .* was sent"),
    row("spoke_more", rf"{_STEP}: more came than the reply to .*"),
    row("no_smtp", rf"{_STEP}: (?:a reply |not an SMTP reply|answered out of place).*"),
    row("answered", r"(?P<step>[\w ]+(?:, the \w+)?): (?P<why>[2-5]\d\d(?: .*)?)"),
    row("answered_relay", r"relay (?P<relay>\S+) answered (?P<step>.+?) with: (?P<why>.*)"),
    row("no_tls", r"relay (?P<relay>\S+) offers no STARTTLS; nothing was sent in plain text"),
    row("plain_password", r"relay (?P<relay>\S+) would get the password in plain text"),
    row("no_log_in", r"relay (?P<relay>\S+) offers neither AUTH PLAIN nor AUTH LOGIN \(it offers: (?P<offered>.*)\)"),
    row("ca_file", r"relay (?P<relay>\S+): the CA file (?P<file>.*) cannot be used: (?P<why>.*)"),
    # What came of a message to a program elsewhere.
    row("no_secret", r"not sent: the key that sealed its secret is not in DISPATCHER_SECRET_KEYS"),
    row("hook_time", r"time: no answer within (?P<seconds>\d+) seconds"),
    row("hook_no_name", r"no name: (?P<host>[^\s:]+): .*"),
    row("hook_not_public", r"not public: (?P<host>\S+) is (?P<address>\S+)"),
    row("hook_address", r"address: .*"),
    row("hook_certificate", r"certificate: (?P<why>.*)"),
    row("hook_connection", r"connection: (?P<why>.*)"),
    # Why there is no message for somebody.
    row("address_unwritable", r".* is not an address that can be written"),
    row("line_break", r"(?P<header>.+) holds a line break or a NUL"),
    row("long_line", r"(?P<header>.+) has a line of \d+ characters"),
    row("half_character", r"a (?:header )?value holds half a character"),
    row("no_consent_day", r"a newsletter without the date of consent"),
    # A sealed file, and the chain of the ledger.
    row("seal_end", r"the seal at its end was changed, or something was added behind it"),
    row("seal_key", r"the key in its seal was changed"),
    row("seal_form", r"it is written in another way than it was signed in"),
    row("seal_content", r"its content, its key or its signature was changed after signing"),
    row("inserted", r"it was not appended by the ledger"),
    row("no_head", r"there are events, but the row that says where the chain ends is gone, or says nothing"),
    row("gone_event", r"event (?P<first>\d+) is missing before it, taken away"),
    row("gone", r"events (?P<first>\d+) to (?P<last>\d+) are missing before it, taken away"),
    row("changed_or_gone", r"it is not what was written, or one before it was taken away"),
    row("changed_or_moved", r"it is not what was written, or not where it stood"),
    row("newest_gone", r"the newest are missing: (?P<first>\d+) was appended, the last that is there is (?P<last>\d+)"),
    row("head", r"it says (?P<events>[\d,]+) events up to number (?P<first>-?\d+), there are (?P<there>[\d,]+) up to"
        r" (?P<last>\d+), or its hash is not the last one's"),
    row("other_ledger", rf"{_POINT}another ledger.*"),
    row("fewer_events", rf"{_POINT}(?P<events>[\d,]+) events, (?P<there>[\d,]+) are there.*"),
    row("other_events", rf"{_POINT}other first (?P<events>[\d,]+) events than these.*"),
    row("personal_back", r"personal fields were put back after they had been erased"),
    row("personal_changed", r"its personal fields or its salt are not what was written"),
    row("no_point", r"there is no checkpoint of ours that says what stands here"),
    row("old_point", r"the newest checkpoint of ours is of (?P<at>\d{4}-\d\d-\d\dT\S+)"),
    # What is to be done, where nothing but a command or a machine does it.
    row("see", r"see: (?P<command>dispatcher .*)"),
    row("start", r"start one: (?P<command>dispatcher \w+), or (?P<other>dispatcher \w+)"),
    row("see_machine", r"see whether its machine runs; if it does, .* start: (?P<command>dispatcher \w+)"),
    row("mend_relay", r"mend the relay, then try it again on its page at the console: .*"),
    row("start_broker", r"start it, or mend DISPATCHER_BROKER_URL; .*"),
    row("embedded_broker", r"the embedded one runs while `(?P<command>[^`]*)` runs"),
    row("cure_log_in", r"check user (?:\(.*\) )?and password in the relay's URL.*"),
    row("cure_postmaster", r"the relay does not want this host at all: .*"),
    row("cure_again", r"the relay is busy or closing; it is tried again by itself"),
    row("cure_url", r"check host,? (?:port and (?:tls|firewall)|and port)\b.*"),
    row("cure_tls", r"the port may .*|the relay said it would speak TLS and did not: .*|nothing was sent: somebody .*"
        r"|check host and port; for TLS .*|use tls=starttls or smtps://"),
    row("cure_certificate", r"the relay's operator has to renew it; .*"),
    row("cure_host", r"write the host into the relay's URL by a name that is in its certificate"),
    row("cure_ca", r"if the relay's authority is one of your own, add ca=FILE .*|ca=FILE in the relay's URL names .*"),
    row("upgrade", r"run: (?P<command>dispatcher .*)"),
    row("make_room", r"make room on its disk; a worker writes them then"),
    row("endings_back", r"put it back; if it is lost for good: (?P<command>dispatcher .*)"),
    row("check_path", r"check path, rights and space; it is the setting DISPATCHER_ENDINGS"),
    row("switch_on", r"mend the receiver, then: (?P<command>dispatcher webhooks on \d+), .*"),
)  # fmt: skip
