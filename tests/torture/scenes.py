"""What came of one campaign under torture, and of many."""

from collections import Counter
from dataclasses import dataclass, field

from tests.torture.checker import Evidence, Finding, check, copies, late_letters


@dataclass(frozen=True)
class Result:
    """One campaign's: what was done to it, what came of it, and what is wrong (nothing, it is to be hoped)."""

    title: str
    kills: int
    stops: int
    letters: int  # people who could be written to
    accepted: int
    copies: int
    unknown: int
    bound: int
    late: int  # accepted after a withdrawal, allowed or not
    findings: tuple[Finding, ...]


def result_of(evidence: Evidence, *, kills: int = 0, stops: int = 0) -> Result:
    """Check the evidence."""
    return Result(
        evidence.title, kills, stops, len(evidence.permitted), len(evidence.taken), copies(evidence),
        len(evidence.with_outcome("unknown")), evidence.bound, late_letters(evidence), tuple(check(evidence)),
    )  # fmt: skip


@dataclass
class Totals:
    """The sums of many results."""

    campaigns: int = 0
    kills: int = 0
    stops: int = 0
    letters: int = 0
    accepted: int = 0
    copies: int = 0
    unknown: int = 0
    bound: int = 0
    late: int = 0
    findings: list[tuple[str, Finding]] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.campaigns += 1
        for name in ("kills", "stops", "letters", "accepted", "copies", "unknown", "bound", "late"):
            setattr(self, name, getattr(self, name) + getattr(result, name))
        self.findings += [(result.title, finding) for finding in result.findings]

    @property
    def kinds(self) -> Counter[str]:
        return Counter(finding.kind.value for _, finding in self.findings)
