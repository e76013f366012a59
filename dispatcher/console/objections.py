"""Why something that was asked for at the console was not done: which sentence says so in the reader's language.

The floors below say it in English, for the command line and the API too. It is recognised by its form, and its facts
are taken over. What stands in no row of the table is told as it was said; a test holds the table against the source of
those who say it. Pure: tables.
"""

from collections.abc import Mapping
from typing import NamedTuple

from dispatcher.console import faults
from dispatcher.console.paper import has, say
from dispatcher.console.recognised import find, row
from dispatcher.db.terms import Language
from dispatcher.errors import ContentInvalid, DispatcherError


class Objection(NamedTuple):
    """The key of a sentence, `table.key`, and its facts. Key "": there is none, `said` has to do.

    The fact `state` is where a campaign stands.
    """

    key: str
    facts: Mapping[str, str]
    said: str


def objection(error: DispatcherError) -> Objection:
    """Find the sentence."""
    said = f"{error.what}. {error.cure}" if error.cure else error.what
    if isinstance(error, ContentInvalid):
        told = faults.told(error)
        return Objection("" if told.key == "other" else f"faults.{told.key}", told.values, said)
    key, facts = find(_TABLE, error.what) or ("", {})
    return Objection(f"objections.{key}" if key else "", facts, said)


def worded(of: Objection, language: Language) -> str:
    """Say it; empty where there is no sentence."""
    if not of.key:
        return ""
    state = f"campaign.state_{of.facts.get('state')}"
    facts = {**of.facts, "state": say(language, state)} if has(language, state) else of.facts
    return say(language, of.key, **facts)


_IT = r"campaign \d+"
_STANDS = rf"{_IT} is (?P<state>[\w-]+)"
_TABLE = (
    # A campaign: where it stands, and what was released.
    row("cannot_become", rf"{_STANDS}; it cannot become .*"),
    row("letters_gone", rf"{_STANDS}: its letters are gone"),
    row("no_draft", rf"{_STANDS}: only a draft can be edited"),
    row("no_draft", rf"{_STANDS}"),
    row("waits_in_series", rf"{_IT} was released for its turn in series \d+"),
    row("no_version", rf"{_IT} has no version \d+ yet: .*"),
    row("saved_meanwhile", rf"{_IT} is not saved: since version \d+, which you read, .*"),
    row("nobody_wrote", rf"{_IT} is not released: it is not known who wrote version \d+ of it"),
    row("wrote_it", rf"{_IT} is not released: (?P<name>.*) wrote version (?P<version>\d+) of it"),
    row("why_back", rf"no reason is given for taking back {_IT}"),
    row("goes_by_itself", rf"{_IT} (?:is nothing that somebody wrote|is a confirmation mail|asks to renew consent)"),
    row("not_scheduled", rf"{_STANDS}: only one that is scheduled can be taken back"),
    row("stale", rf"{_IT} cannot go (?:out|on): .*"),
    row("not_paused", rf"{_STANDS}, not paused"),
    row("content_waits", rf"{_IT} has new content that is not released"),
    row("no_content", rf"{_IT} has no content in its default language \w+"),
    row("trial_by_clock", rf"{_IT} tries \d+ subjects, and cannot go by each reader's own clock as well"),
    row("prices_ahead", rf"the prices of {_IT} are of a time after it is sent"),
    row("content_stays", rf"{_STANDS}: its content stays as it is"),
    row("letters_held", rf"workers still hold letters of {_IT}"),
    row("moved_meanwhile", rf"{_IT} was .* while you looked it over"),
    row("changed_meanwhile", rf"{_IT} has changed while it was looked over: .*"),
    row("changed_since", r"not sent: since the release has changed .*"),
    row("no_check", r"there is no check .*"),
    row("why_despite", r"no reason is given for releasing despite .*"),
    row("expires", rf"{_IT} cannot expire after .* s"),
    # Several subjects.
    row("one_subject", rf"{_IT} has one subject: there is nothing to (?:try|choose)"),
    row("nobody_waits", rf"{_STANDS}: nobody waits for a subject"),
    row("no_subject", rf"{_IT} has no subject \w+"),
    row("no_subject", r"there is no subject .*"),
    row("is_chosen", rf"the rest of {_IT} has a subject: (?P<letter>\w+), since .*"),
    row(
        "as_many",
        rf"{_IT} is under way with (?P<dealt>\d+) subjects in each language, and this brings (?P<brought>\d+)",
    ),
    row("share", r"a share of .* per cent leaves no trial or no rest"),
    row("wait", r"a trial waits for a while, and 14 days at most|'.*' is no span of time"),
    # A moment.
    row("no_hour", r"(?P<at>\S+) does not exist in (?P<zone>\S+): the clocks are put forward over it"),
    row("past", r"(?P<at>\S+) in (?P<zone>\S+) is in the past"),
    row("no_moment", r".* is not a time(?: that can come)?|.* names an offset"),
    row("no_zone", r"there is no time zone .*"),
    # Series and feeds.
    row("series_ended", r"series \d+ has ended"),
    row("other_topic", rf"{_IT} is not about [\w-]+"),
    row("no_issue", r"series \d+ is [\w-]+: no issue is due"),
    row("series_moved", r"series \d+ is [\w-]+; it cannot become [\w-]+"),
    row("no_name", r"the series has no name"),
    row("no_day", r"no day is named|'.*' is no day|\"(?:.*)\" is no day"),
    row("days_mixed", r".* mixes weekdays and days of the month"),
    row("not_every_month", r"not every month has a day (?P<day>.*)"),
    row("no_clock", r".* is no time of the day"),
    row("feed_there", r"series \d+ has feed \d+ already"),
    row("feed_address", r"the feed's address is none of the web"),
    row("feed_log_in", r"the feed's address bears a log-in"),
    row("feed_most", r"an issue cannot have (?P<most>.*) articles"),
    row("feed_ahead", r"a feed is asked a minute to a day before the issue's time"),
    # Programs.
    row("endpoints_many", r"there are \d+ endpoints already"),
    row("endpoint_off", r"endpoint \d+ is off"),
    row("no_kind", r"an endpoint that wants nothing is told nothing|there is no type .*"),
    row("no_https", r".* is no web address(?: that begins with https)?"),
    row("url_log_in", r"the web address holds a log-in or a fragment"),
    row("key_name", r"the name of a key has 1 to \d+ characters, on one line"),
    row("no_scope", r"a key without scopes opens nothing|there is no scope .*"),
    row("is_past", r"(?P<at>\S+ \S+) UTC is past"),
    # The people of the house.
    row("no_role", r"there is no role .*"),
    row("no_language", r"there is no language .*"),
    row("name", r"this is no name"),
    row("account_there", r"there is an account with this address"),
    row("last_administrator", r"this is the last administrator who can log in"),
    row("code", r"this code is not right"),
    row("link_over", r"this link is not good any more"),
    # Files.
    row("file_moved", r"this file (?:is not waiting to be imported|cannot be discarded any more)"),
    row("file_once", r"this file cannot be looked at once more"),
    # The declaration, and asking to renew.
    row("newer_later", r"(?P<name>.*) becomes valid later, at .* UTC"),
    row("nothing_older", r"there is no older version whose consent could be renewed"),
    row("version_name", r".* cannot be the name of a version|.* means consent that names no version"),
    row("no_topics", r"a declaration without topics covers nothing"),
    row("words_missing", r"the words are missing in: .*"),
    row("renews_strange", r"it cannot renew consent for what it does not cover: .*"),
    row("stands_already", r"(?P<name>.*) stands already, and not so: .*"),
    row("same_moment", r"another version was entered at the same moment"),
    row("words_field", r".*: there is no \$(?P<field>.*)"),
    row("words_empty", r".* is empty"),
    row("words_long", r".* has .* characters, more than (?P<most>[\d,]+)|.* has more than .* bytes, and words of .*"),
    row("words_control", r".*, line (?P<line>\d+): a control character"),
    row("words_html", r".*, line (?P<line>\d+): HTML \((?P<html>.*)\)"),
    row("words_uncovered", r"the words \((?P<spoken>\w+)\) speak of “(?P<name>.*)”, but do not cover .*"),
    row("words_unnamed", r"the words \((?P<spoken>\w+)\) do not name (?P<topic>[\w-]+), which they are to cover"),
    row("renewal_asks", rf"{_IT} is asking for this already"),
    row("not_covered", r".* does not cover .*"),
    row("nothing_to_renew", r".* is not valid before .* UTC, and does not renew .*"),
    row("not_newest", r".* is not the version that is shown now"),
    # Somebody's rights.
    row("future", r"(?:the consent of )?(?P<day>\S+)(?: \S+ UTC)? lies in the future"),
    row("extended", r"request \d+ was extended before, or its month is over"),
    row("restricted_mail", r"this person's data is restricted \(Art\. 18 GDPR\): .*"),
    row("restricted", r"what is known of .* is restricted, so that it is kept \(Art\. 18 GDPR\)"),
    row("no_consent", r"there is no consent that could go over to another address"),
    row("nobody_asked", r"nobody can be asked at .*: it is on the never-mail list, .*"),
    row("address_gone", r"this person's address is gone: they were erased, or have left"),
    row("never_mail", r"this address is on the never-mail list"),
    row("one_line", r".* has to be one line of 1 to \d+ characters"),
    row("name_control", r"the name contains a line break or another control character"),
    row("name_long", r"the name is longer than 200 characters"),
    # Proof, and relays.
    row("no_seal", r"this file (?:bears no seal: .*|is no sealed JSON, .*)"),
    row("no_relay", r"no relay is set"),
    row("relay", r"relay .*"),
)
