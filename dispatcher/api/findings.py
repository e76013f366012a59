"""What a look at a newsletter found, as it is told to programs: the finding, and its words in every language."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from dispatcher.db.terms import Language
from dispatcher.errors import DispatcherError
from dispatcher.sending.preflight.findings import Check, Finding, Severity
from dispatcher.sending.preflight.findings import Said as Words


class WordsTold(BaseModel):
    """A finding in words."""

    where: str
    what: str
    why: str = Field(description="Why it matters.")
    cure: str = Field(description="How to mend it.")

    @classmethod
    def of(cls, words: Words) -> "WordsTold":
        """Tell it."""
        return cls(where=words.where, what=words.what, why=words.why, cure=words.cure)


class FindingTold(BaseModel):
    """One thing that was found. People are named by number, never by address."""

    check: Check
    name: str = Field(description="What the check found, as one word.")
    severity: Severity = Field(description="`stop`: it does not go, unless somebody answers for it.")
    where: str = Field(description="A file with its line, a name in the DNS, @recipients, @letters or @domain.")
    de: WordsTold
    en: WordsTold

    @classmethod
    def of(cls, found: Finding) -> "FindingTold":
        """Tell it."""
        words = {language.value: WordsTold.of(found.say(language)) for language in Language}
        return cls(check=found.check, name=found.name, severity=found.severity, where=found.where, **words)


class ReleaseStopped(DispatcherError):
    """A newsletter was not released: these findings stop it."""

    def __init__(self, campaign_id: int, findings: Sequence[Finding]) -> None:
        checks = ", ".join(dict.fromkeys(finding.check.value for finding in findings))
        super().__init__(
            f"campaign {campaign_id} is not released: {checks}",
            "mend it, or answer for it: name each check in `despite`, with a reason",
        )
        self.findings = findings
