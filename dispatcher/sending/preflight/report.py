"""What a preflight found, as a value and as it is stored."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from dispatcher.domain.newsletters import releases
from dispatcher.domain.newsletters.releases import Binding, Preflight
from dispatcher.sending.preflight.findings import Check, Finding, Severity


@dataclass(frozen=True, slots=True)
class Report:
    """Of which campaign, when, for which moment, bound to what, for how many people, and what was found."""

    campaign_id: int
    at: datetime
    goes_at: datetime
    binding: Binding
    people: int
    findings: tuple[Finding, ...]

    def stops(self, despite: Iterable[str] = ()) -> tuple[Finding, ...]:
        """Give what stops the campaign, but for checks that somebody answers for."""
        waived = set(despite)
        return tuple(f for f in self.findings if f.severity is Severity.STOP and f.check not in waived)

    def count(self, severity: Severity) -> int:
        """Count the findings of one severity."""
        return sum(finding.severity is severity for finding in self.findings)


def store(conn: Connection, report: Report) -> int:
    """Write a report down; give its number."""
    findings = [finding.to_json() for finding in report.findings]
    hashes = report.binding
    return releases.enter_preflight(
        conn, Preflight(0, report.campaign_id, report.at, report.goes_at, hashes, report.people, findings)
    )


def newest(conn: Connection, campaign_id: int) -> tuple[int, Report] | None:
    """Give the newest report of a campaign, with its number; None: it was never looked at."""
    found = releases.newest_preflight(conn, campaign_id)
    if found is None:
        return None
    findings = tuple(Finding.from_json(finding) for finding in found.findings)
    return found.id, Report(campaign_id, found.at, found.goes_at, found.binding, found.people, findings)


def known_checks() -> str:
    """Name every check, for whoever named none."""
    return ", ".join(Check)
