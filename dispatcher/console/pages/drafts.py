"""A newsletter is begun: from a sample of its topic, from an earlier one, or from content files.

What must stay true: a draft is entered by the function that the command line and the API call; what cannot be composed
is refused with the reason, and nothing of it is entered.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from dispatcher.compose import manuscript
from dispatcher.compose.content import parse_content
from dispatcher.compose.samples import sample
from dispatcher.console import faults
from dispatcher.console.declare import Mend, Values, act, area, look, sized
from dispatcher.console.faults import Told
from dispatcher.console.paging import number
from dispatcher.console.visit import Visit
from dispatcher.db.terms import Language, Topic
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Campaign, Contents, Draft
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import ContentInvalid
from dispatcher.sending import house as houses
from dispatcher.sending import release
from dispatcher.web.forms import File, Size

# The text of two languages and, written as a form's field, three octets for each of its own.
LETTERS = Size(octets=3_500_000, fields=5_000, files=4)
_EARLIER = 50
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class _Start:
    """What a draft begins with: its files, the default language's first, and the subject for who has none."""

    topic: Topic
    subject: str
    contents: Contents


def ask(visit: Visit) -> Values:
    """Ask what the newsletter is about, how it is called here, and what it begins with."""
    chosen = number(visit.asked("from"))
    earlier = _earlier(visit)
    wanted = next((of for of in earlier if of.id == chosen), None)
    return {"topics": list(Topic), "earlier": earlier, "wanted": wanted, "fault": None, "fault_in": ""}


def make(visit: Visit) -> Response:
    """Enter the draft and lead to where it is written."""
    name = " ".join(visit.said("name").split())
    errors = {} if name else {"name": "drafts.name_missing"}
    if len(name) > _LONGEST_NAME or not name.isprintable():
        errors["name"] = "drafts.name_wrong"
    if visit.said("start") not in _STARTS:
        errors["start"] = "drafts.start_missing"
    if visit.said("start") != "copy" and visit.said("topic") not in list(Topic):
        errors["topic"] = "drafts.topic_missing"
    if errors:
        raise Mend(errors)
    try:
        start = _STARTS[visit.said("start")](visit, name)
        files = start.contents
        draft = Draft(start.topic, name, start.subject, next(iter(files)), files, by=visit.actor)
        made = release.draft(visit.conn, draft, houses.house(visit.desk.settings), visit.now)
    except ContentInvalid as fault:
        return _refused(visit, faults.told(fault), fault.file)
    visit.note("campaign", made, start=visit.said("start"), topic=start.topic)
    return visit.go(f"/campaigns/{made}/edit", "drafts.is_made", name=name)


def _refused(visit: Visit, fault: Told, file: str) -> Response:
    values = {**ask(visit), "fault": fault, "fault_in": file}
    return visit.page("campaigns_new", status=422, **values)


def _sample(visit: Visit, _name: str) -> _Start:
    """Begin with the sample of the topic, in the languages that were chosen."""
    topic = Topic(visit.said("topic"))
    wanted = [language for language in Language if language in visit.form.all("language")]
    if not wanted:
        raise Mend({"language": "drafts.language_missing"})
    first = visit.language if visit.language in wanted else wanted[0]
    in_order = sorted(wanted, key=lambda language: language is not first)
    files = {language: (f"content.{language}.md", sample(topic, language, visit.now)) for language in in_order}
    return _Start(topic, _subject(files, ""), files)


def _copy(visit: Visit, _name: str) -> _Start:
    """Begin with what an earlier newsletter says."""
    number_of = number(visit.said("from"))
    of = campaigns.find(visit.conn, number_of) if number_of is not None else None
    files = campaigns.contents(visit.conn, of.id) if of is not None else {}
    if of is None or of.topic is None or not files:
        raise Mend({"from": "drafts.from_missing"})
    ordered = dict(sorted(files.items(), key=lambda one: one[0] is not of.default_language))
    topic = visit.said("topic")
    return _Start(Topic(topic) if topic in list(Topic) else of.topic, of.subject, ordered)


def _uploaded(visit: Visit, name: str) -> _Start:
    """Begin with content files; each names its language."""
    given = visit.form.files.get("file", ())
    if not given:
        raise Mend({"file": "drafts.file_missing"})
    files: Contents = {}
    for file in given:
        called, source = _called(file), _decoded(file)
        if markup := faults.of_file(source):
            raise ContentInvalid(called, markup.line, f"`<{markup.values['shown']}>` does nothing in a letter")
        language = Language(parse_content(source, file=called).language)
        if language in files:
            raise ContentInvalid(called, 0, f"is the second one with language: {language}")
        files[language] = (called, source)
    return _Start(Topic(visit.said("topic")), _subject(files, name), files)


_STARTS = {"sample": _sample, "copy": _copy, "file": _uploaded}


def _subject(files: Contents, otherwise: str) -> str:
    """Give the subject of the first letter, which is the campaign's."""
    file, source = next(iter(files.values()))
    return manuscript.read(source, file=file).head.get("subject", otherwise)


def _called(file: File) -> str:
    name = "".join(ch for ch in re.split(r"[\\/]", file.name)[-1] if ch.isprintable())
    return name[:_LONGEST_NAME] or "content.md"


def _decoded(file: File) -> str:
    try:
        return file.content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = file.content[: error.start].count(b"\n") + 1
        raise ContentInvalid(_called(file), line, "has bytes that are not UTF-8") from None


def _earlier(visit: Visit) -> Sequence[Campaign]:
    """Give the newest newsletters that somebody wrote."""
    return [of for of in campaigns.newest(visit.conn, _EARLIER) if of.renews is None]


PAGES = area(
    "campaigns",
    look("/campaigns/new", Permission.EDIT_CAMPAIGNS, "campaigns_new", ask),
    sized(act("/campaigns/new", Permission.EDIT_CAMPAIGNS, "drafts.made", make), LETTERS),
)
