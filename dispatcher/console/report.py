"""What a look at a campaign found, as the console shows it: by weight, alike beside alike, with the way to the place.

Pure: a report and a language in, values for a template out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from dispatcher.console.objections import objection, worded
from dispatcher.db.terms import Language
from dispatcher.domain.newsletters.campaigns import Contents
from dispatcher.errors import ContentInvalid
from dispatcher.sending.preflight.findings import RECIPIENTS, Check, Finding, Said, Severity, title
from dispatcher.sending.preflight.report import Report

_IN_FILE = re.compile(r"^.+:(\d+)$")


@dataclass(frozen=True, slots=True)
class Spot:
    """One place where something was found. `line`: of the author's file; `people`: their numbers, as far as named."""

    where: str
    what: str
    file: str = ""
    line: int | None = None
    people: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Alike:
    """What was found more than once and is told once. `weight` is the severity."""

    check: str
    weight: str
    title: str
    why: str
    cures: tuple[str, ...]
    spots: tuple[Spot, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A whole report: what was found by weight, and the titles of checks that found nothing."""

    report: Report
    by_weight: Sequence[tuple[str, Sequence[Alike]]]
    fine: Sequence[str]

    @property
    def stops(self) -> Sequence[Alike]:
        """Give what stops it."""
        return next((found for weight, found in self.by_weight if weight == Severity.STOP), ())


def shown(report: Report, language: Language, contents: Contents) -> Shown:
    """Put a report into words; `contents` are the campaign's files, which tell whose language a place is in."""
    letters = {file: of for of, (file, _) in contents.items()}
    found = [_alike(list(group), language, letters) for _, group in groupby(report.findings, key=_kind)]
    weights = [(one.value, [alike for alike in found if alike.weight == one]) for one in Severity]
    return Shown(report, [(weight, those) for weight, those in weights if those], _fine(report, language))


def _kind(finding: Finding) -> tuple[Severity, Check, str]:
    return finding.severity, finding.check, finding.name


def _alike(findings: Sequence[Finding], language: Language, letters: Mapping[str, Language]) -> Alike:
    first, told = findings[0], [_said(finding, language, letters) for finding in findings]
    return Alike(
        check=first.check.value,
        weight=first.severity.value,
        title=title(first.check, language),
        why=told[0].why,
        cures=tuple(dict.fromkeys(said.cure for said in told if said.cure)),
        spots=tuple(_spot(finding, said.where, said.what) for finding, said in zip(findings, told, strict=True)),
    )


def _said(finding: Finding, language: Language, letters: Mapping[str, Language]) -> Said:
    """Put a finding into words; content that cannot be read is told as to whoever writes it."""
    said = finding.say(language, letters)
    if (finding.check, finding.name) != (Check.CONTENT, "invalid"):
        return said
    fault = objection(ContentInvalid(finding.where, 0, finding.values["said"], finding.values["cure"]))
    sentence = worded(fault, language)
    return replace(said, what=sentence, cure="") if sentence else said


def _spot(finding: Finding, where: str, what: str) -> Spot:
    if finding.where == RECIPIENTS:
        named = re.findall(r"\d+", finding.values.get("people", "")) if "people" in finding.values else []
        return Spot(where, what, people=tuple(int(number) for number in named))
    in_file = _IN_FILE.match(finding.where)
    if in_file is None:
        return Spot(where, what)
    return Spot(where, what, finding.where.rpartition(":")[0], int(in_file.group(1)))


def _fine(report: Report, language: Language) -> list[str]:
    if any((finding.check, finding.name) == (Check.CONTENT, "invalid") for finding in report.findings):
        return []  # nothing else could be looked at
    told = {finding.check for finding in report.findings}
    return [title(check, language) for check in Check if check not in told]
