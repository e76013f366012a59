"""SPF, DKIM and DMARC as the DNS has them (RFC 7208, 6376, 7489), and that they speak for the domain in From.

DMARC wants one of the two others to pass *and* to be about the domain that readers see. The return-path's domain is
ours to check, and so are the keys that we sign with; from which address the relay sends, only the relay knows.
"""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from dns.exception import DNSException
from dns.resolver import NXDOMAIN, NoAnswer, NoNameservers, Resolver

from dispatcher.sending import mx
from dispatcher.sending.preflight.examination import Examination
from dispatcher.sending.preflight.findings import DOMAIN, Check, Finding, Severity

MANY = 5_000  # a day: from here on Gmail, Yahoo and Microsoft demand SPF, DKIM and DMARC
_S = Severity


@dataclass(frozen=True, slots=True)
class Policy:
    """A DMARC record: at which domain it stands, which stands for everything below it."""

    domain: str
    text: str

    def tag(self, name: str, default: str) -> str:
        """Give one of its tags."""
        found = re.search(rf"(?:^|;)\s*{name}\s*=\s*([^;\s]+)", self.text, re.IGNORECASE)
        return found[1].lower() if found else default


class Unsaid(Exception):
    """Nobody answers in the DNS: nothing can be said about a name."""


def check_dns(exam: Examination, people: int) -> Iterator[Finding]:
    """Ask for every record that a receiver would ask for."""
    if exam.desk.resolver == "off":
        yield Finding(Check.DNS, "off", _S.NOTE, DOMAIN)
        return
    try:
        yield from _examine(exam, mx.resolver(exam.desk.resolver), people)
    except Unsaid as unsaid:
        yield Finding(Check.DNS, "unanswered", _S.WARN, str(unsaid), {"said": str(unsaid.__cause__)})


def _examine(exam: Examination, asked: Resolver, people: int) -> Iterator[Finding]:
    sender, bounces = exam.desk.stationery.sender_domain, exam.desk.stationery.bounce_domain
    policy = _policy(asked, sender)
    if policy is None:
        severity = _S.STOP if people >= MANY else _S.WARN
        yield Finding(Check.DNS, "no_dmarc", severity, f"_dmarc.{sender}", {"domain": sender, "people": f"{people:,}"})
    elif policy.tag("p", "none") == "none":
        yield Finding(Check.DNS, "dmarc_watches", _S.NOTE, f"_dmarc.{policy.domain}")
    spf = [text for text in _texts(asked, bounces) if text.lower().split(" ")[0] == "v=spf1"]
    if len(spf) != 1:
        name, severity = ("two_spf", _S.STOP) if spf else ("no_spf", _S.WARN)
        yield Finding(Check.DNS, name, severity, bounces, {"domain": bounces})
    if not _answers(asked, bounces, "MX"):
        yield Finding(Check.DNS, "no_mx", _S.WARN, bounces, {"domain": bounces})
    spf_counts = len(spf) == 1 and _is_aligned(bounces, sender, policy, "aspf")
    dkim_counts = yield from _dkim(exam, asked, sender, policy)
    if not spf_counts and dkim_counts is False:
        values = {"sender": sender, "bounces": bounces}
        yield Finding(Check.DNS, "nothing_aligned", _S.STOP, sender, values)


def _dkim(
    exam: Examination, asked: Resolver, sender: str, policy: Policy | None
) -> Generator[Finding, None, bool | None]:
    """Hold each key that we sign with against the DNS; return whether one counts for From (None: the relay signs)."""
    signer = exam.desk.stationery.signer
    if signer is None and exam.desk.keys_elsewhere:
        yield Finding(Check.DNS, "keys_elsewhere", _S.WARN, DOMAIN)
        return None
    if signer is None:
        yield Finding(Check.DNS, "relay_signs", _S.NOTE, DOMAIN)
        return None
    counts = False
    for key in signer.keys:
        published = [_public(text) for text in _texts(asked, key.name) if "p=" in text]
        if not published:
            yield Finding(Check.DNS, "no_key", _S.STOP, key.name, {"key": key.name})
        elif _public(key.record) not in published:
            yield Finding(Check.DNS, "other_key", _S.STOP, key.name, {"key": key.name})
        else:
            counts = counts or _is_aligned(key.domain, sender, policy, "adkim")
    return counts


def _policy(asked: Resolver, domain: str) -> Policy | None:
    """Walk up from the sender's domain to the first DMARC record: it is its own, or that of the organisation."""
    labels = domain.split(".")
    for start in range(len(labels) - 1):
        above = ".".join(labels[start:])
        texts = [text for text in _texts(asked, f"_dmarc.{above}") if text.lower().startswith("v=dmarc1")]
        if len(texts) == 1:
            return Policy(above, texts[0])
    return None


def _is_aligned(domain: str, sender: str, policy: Policy | None, tag: str) -> bool:
    """Claim that DMARC takes the two for one: the same, or, where the policy is relaxed, of one organisation."""
    if domain == sender:
        return True
    if policy is not None and policy.tag(tag, "r") == "s":
        return False
    # The organisation is where the policy stands. Without one: the last two labels, which suffices for .de and .com.
    organisation = policy.domain if policy and policy.domain != sender else ".".join(sender.split(".")[-2:])
    return all(f".{name}".endswith(f".{organisation}") for name in (domain, sender))


def _public(record: str) -> str:
    found = re.search(r"(?:^|;)\s*p\s*=\s*([A-Za-z0-9+/=\s]*)", record)
    return re.sub(r"\s", "", found[1]) if found else ""


def _texts(asked: Resolver, name: str) -> list[str]:
    return [b"".join(record.strings).decode("latin-1") for record in _answers(asked, name, "TXT")]


def _answers(asked: Resolver, name: str, kind: str) -> list:  # type: ignore[type-arg]
    try:
        return list(asked.resolve(f"{name}.", kind, lifetime=mx.PATIENCE))
    except (NXDOMAIN, NoAnswer):
        return []
    except (DNSException, NoNameservers) as error:
        raise Unsaid(name) from error
