"""What a spam filter says of a letter: SpamAssassin's spamd by its own protocol, or rspamd by HTTP.

spamd's protocol is a head and a body each way (SPAMC/1.5), too little for a library that would bring a logger and a
command line along. The filter is the operator's own: its address comes from the settings, and nowhere else.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from dispatcher.outgoing import Outgoing, Passport, Unanswered, fetch
from dispatcher.sending.preflight.examination import Examination
from dispatcher.sending.preflight.findings import LETTERS, Check, Finding, Severity

PATIENCE = 30.0  # seconds: a filter asks the network, too
_LARGEST_ANSWER = 1_000_000


@dataclass(frozen=True, slots=True)
class Score:
    """A filter's verdict: from `limit` on a letter is spam to it. `rules` are those that counted against the letter."""

    score: float
    limit: float
    rules: tuple[str, ...]


class FilterAway(Exception):
    """The filter gives no verdict."""


def check_spam(exam: Examination) -> Iterator[Finding]:
    """Have each letter judged."""
    url = exam.desk.spam_check
    if not url:
        yield Finding(Check.SPAM, "off", Severity.NOTE, LETTERS)
        return
    for look in exam.looks.values():
        try:
            # With each subject of a trial; the worst score is the letter's.
            score = max((ask(url, raw) for raw in (look.raw, *(each.raw for each in look.further))), key=_badness)
        except FilterAway as away:
            yield Finding(Check.SPAM, "away", Severity.WARN, look.file, {"filter": url, "said": str(away)})
            continue
        yield _judge(look.file, score)


def ask(url: str, letter: bytes) -> Score:
    """Have one letter judged. Raises FilterAway."""
    asking = _ask_spamd if url.startswith("spamd:") else _ask_rspamd
    try:
        return asyncio.run(asking(url, letter))
    except TimeoutError:
        raise FilterAway(f"no answer within {PATIENCE:.0f} seconds") from None
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:  # it speaks otherwise
        raise FilterAway(str(error) or type(error).__name__) from None


def _badness(score: Score) -> float:
    return score.score


def _judge(file: str, score: Score) -> Finding:
    rules = ", ".join(score.rules) or "–"
    values = {"score": f"{score.score:.1f}", "limit": f"{score.limit:.1f}", "rules": rules}
    if score.score >= score.limit:
        return Finding(Check.SPAM, "spam", Severity.STOP, file, values)
    if score.score >= score.limit / 2:
        return Finding(Check.SPAM, "near", Severity.WARN, file, values)
    return Finding(Check.SPAM, "fine", Severity.NOTE, file, values)


async def _ask_spamd(url: str, letter: bytes) -> Score:
    parts = urlsplit(url)
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(b"SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n\r\n" % len(letter) + letter)
            await writer.drain()
            writer.write_eof()
            heard = b""
            while (piece := await reader.read(65_536)) and len(heard) < _LARGEST_ANSWER:
                heard += piece
        finally:
            writer.close()
    head, _, body = heard.decode("utf-8", "replace").partition("\r\n\r\n")
    verdict = re.search(r"^Spam: \w+ ; (-?[\d.]+) / (-?[\d.]+)", head, re.MULTILINE | re.IGNORECASE)
    if not re.match(r"SPAMD/[\d.]+ 0 ", head) or verdict is None:
        raise FilterAway(f"it answers: {head.splitlines()[0][:80] if head else 'nothing'}")
    rules = tuple(rule for rule in re.split(r"[,\s]+", body.strip()) if rule)
    return Score(float(verdict[1]), float(verdict[2]), rules)


async def _ask_rspamd(url: str, letter: bytes) -> Score:
    place = urlsplit(url).netloc
    wanted = Outgoing(f"http://{place}/checkv2", "POST", {}, letter, _LARGEST_ANSWER, PATIENCE)
    answer = await fetch(wanted, Passport().also(f"http://{place}"))
    if isinstance(answer, Unanswered):
        raise FilterAway(answer.why)
    if answer.status != 200:
        raise FilterAway(f"it answers {answer.status}")
    said = json.loads(answer.body)
    symbols = sorted(said.get("symbols", {}).values(), key=lambda symbol: -symbol["score"])
    rules = tuple(f"{symbol['name']} ({symbol['score']:.1f})" for symbol in symbols if symbol["score"] > 0)
    return Score(float(said["score"]), float(said["required_score"]), rules)
