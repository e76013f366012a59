"""A newsletter is written: block by block in a form, or as whole content files.

    look   what is stored, or what was typed and had to be mended        act   the version that was read is asked for
                                                                               first; then faults, then it is saved

What must stay true: nothing is overwritten unread, and what somebody typed is never lost, whoever saved meanwhile and
whatever the newsletter has become. What is released is not edited; it is taken back first, with a reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from dispatcher.compose import manuscript
from dispatcher.compose.content import parse_content
from dispatcher.compose.freezing import freeze
from dispatcher.console import drafting, faults
from dispatcher.console.declare import Mend, Values, act, area, look, sized
from dispatcher.console.drafting import Sheet
from dispatcher.console.faults import Told
from dispatcher.console.pages.campaign import newsletter
from dispatcher.console.pages.drafts import LETTERS
from dispatcher.console.paging import number
from dispatcher.console.visit import Visit
from dispatcher.db.terms import CampaignState, Language, Otherwise, Topic
from dispatcher.domain.newsletters import authors, campaigns, revisions, trials
from dispatcher.domain.newsletters.authors import Version
from dispatcher.domain.newsletters.campaigns import Campaign, Contents
from dispatcher.domain.newsletters.revisions import LONGEST_EXPIRY, SHORTEST_EXPIRY, Revision
from dispatcher.domain.newsletters.trials import Terms
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import ContentInvalid, InputRefused, SavedMeanwhile
from dispatcher.sending import house as houses
from dispatcher.sending import release

# In which order a topic's letter shows its blocks (templates/mail), and so does the form.
_ORDER = {
    Topic.FINANCE_NEWS: ("articles", "products", "offers"),
    Topic.PRODUCT_NEWS: ("products", "articles", "offers"),
    Topic.SPECIAL_OFFERS: ("offers", "products", "articles"),
}
_SAVES = ("save", "preview")
_LONGEST_NAME = 200
_FEW = 12  # changes of somebody else that are shown one by one


@dataclass(frozen=True, slots=True)
class Change:
    """A field that somebody else has changed: its name, what stands there now, and what was typed here."""

    name: str
    theirs: str
    mine: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Who saved since somebody began to edit, and what they changed."""

    versions: Sequence[Version]
    changes: Sequence[Change]
    more: int


def edit(visit: Visit) -> Values | Response:
    """Show the form, with what is stored or what was typed."""
    of = newsletter(visit.conn, visit.number("campaign"))
    stored = campaigns.contents(visit.conn, of.id)
    if (locked := lock(of)) or not stored:
        return _locked(visit, of, locked or "renewal")
    there = _stored(visit, of, stored)
    if there is None:
        return visit.go(f"/campaigns/{of.id}/file")
    is_typed = bool(visit.form.all("letters"))
    sheet = drafting.changed(drafting.typed(visit.form), visit.said("do")) if is_typed else there
    if is_typed and _read(visit) != of.version:
        sheet = drafting.merged(sheet, there, visit.form.first("prints"))
    conflict = _conflict(visit, of, stored, sheet) if is_typed else None
    is_saved = is_typed and (visit.said("do") or "save") in _SAVES and conflict is None
    return {
        **_common(of, ""),
        "sheet": sheet,
        "faults": wrong(visit, of, sheet) if is_saved else {},
        "conflict": conflict,
        "prints": visit.form.first("prints") if is_typed and conflict is None else there.prints(),
        "order": _ORDER[Topic(of.topic or "")],
        "drafting": drafting,
        "languages": list(Language),
    }


def save(visit: Visit) -> Response:
    """Save the form as a new version; or, for a button of a block, show it again with more or fewer of them."""
    of = newsletter(visit.conn, visit.number("campaign"))
    button = visit.said("do") or "save"
    if button not in _SAVES:
        raise Mend({}, status=200)
    _require_read(visit, of)
    sheet = drafting.typed(visit.form)
    if not sheet.letters or wrong(visit, of, sheet):
        raise Mend({"": "editing.mend"})
    subject, files = drafting.contents_of(sheet, of, campaigns.contents(visit.conn, of.id))
    expires = round(float(sheet.expires) * 3600)
    trial = _terms(sheet) if sheet.subjects > 1 else None
    _save(visit, of, Revision(_read(visit), visit.actor, subject, sheet.name, files, expires), trial)
    rate = int(sheet.rate) if sheet.rate else None
    if rate != of.rate_per_min:
        campaigns.set_rate(visit.conn, of.id, rate)
    return visit.go(f"/campaigns/{of.id}/{'preview' if button == 'preview' else 'edit'}", "editing.is_saved")


def files(visit: Visit) -> Values:
    """Show the content files as they are stored, or as they were typed."""
    of = newsletter(visit.conn, visit.number("campaign"))
    stored = campaigns.contents(visit.conn, of.id)
    if (locked := lock(of)) or not stored:
        return _locked(visit, of, locked or "renewal")
    typed, there = _typed_files(visit), _stored(visit, of, stored)
    in_order = sorted(stored, key=lambda language: language is not of.default_language)
    conflict = _conflict(visit, of, stored, None) if typed else None
    return {
        **_common(of, "file"),
        "sources": typed or [stored[language][1] for language in in_order],
        "faults": _wrong_files(visit, of, typed)[0] if typed and conflict is None else {},
        "conflict": conflict,
        "prints": visit.form.first("prints") if typed and conflict is None else there.prints() if there else "",
        "most": len(Language),
    }


def save_files(visit: Visit) -> Response:
    """Save whole content files as a new version."""
    of = newsletter(visit.conn, visit.number("campaign"))
    _require_read(visit, of)
    typed = _typed_files(visit)
    found, letters = _wrong_files(visit, of, typed)
    if found or not letters:
        raise Mend({"": "editing.mend"})
    stored = campaigns.contents(visit.conn, of.id)
    contents = {one: (drafting.file_name(one, stored), source) for one, source in letters.items()}
    first_file, first = next(iter(contents.values()))
    subject = manuscript.read(first, file=first_file).head.get("subject") or of.subject
    _save(visit, of, Revision(_read(visit), visit.actor, subject, contents=contents))
    return visit.go(f"/campaigns/{of.id}/file", "editing.is_saved")


def wrong(visit: Visit, of: Campaign, sheet: Sheet) -> dict[str, Told]:
    """Give what is wrong with what was typed, by field: text by text first, then with the letters composed."""
    found = faults.of_sheet(sheet) | _wrong_options(sheet)
    if found or not sheet.letters:
        return found
    for language, letter in sheet.letters.items():
        source = manuscript.write(letter).source
        if fault := _not_composed(visit, of, language, source):
            found[fault[0]] = fault[1]
    return found


def _wrong_options(sheet: Sheet) -> dict[str, Told]:
    found = {}
    if not sheet.name or len(sheet.name) > _LONGEST_NAME or not sheet.name.isprintable():
        found["name"] = Told("name")
    if sheet.rate and not (sheet.rate.isascii() and sheet.rate.isdigit() and 0 < int(sheet.rate) <= 10_000_000):
        found["rate"] = Told("rate")
    hours = number(sheet.expires)
    if hours is None or not SHORTEST_EXPIRY <= hours * 3600 <= LONGEST_EXPIRY:
        found["expires"] = Told("expires")
    if not (sheet.share.isascii() and sheet.share.isdigit() and 1 <= int(sheet.share) <= 90):
        found["share"] = Told("share")
    try:
        Terms(wait=trials.read_wait(sheet.wait))
    except InputRefused:
        found["wait"] = Told("wait")
    if sheet.otherwise not in list(Otherwise):
        found["otherwise"] = Told("otherwise")
    return found


def _terms(sheet: Sheet) -> Terms:
    return Terms(int(sheet.share), trials.read_wait(sheet.wait), Otherwise(sheet.otherwise))


def _not_composed(visit: Visit, of: Campaign, language: Language, source: str) -> tuple[str, Told] | None:
    try:
        content = parse_content(source, file=f"content.{language}.md")
        house = houses.house(visit.desk.settings)
        freeze(content, topic=of.topic or "", subject=of.subject, house=house, campaign_id=of.id)
    except ContentInvalid as fault:
        return faults.at_field(fault, language)
    return None


def _wrong_files(visit: Visit, of: Campaign, sources: Sequence[str]) -> tuple[dict[int, Told], dict[Language, str]]:
    """Give what is wrong by place, and the letters by language."""
    found: dict[int, Told] = {}
    letters: dict[Language, str] = {}
    for place, source in enumerate(sources):
        if (fault := faults.of_file(source)) is not None:
            found[place] = fault
            continue
        try:
            language = Language(parse_content(source, file="content.md").language)
        except ContentInvalid as error:
            found[place] = faults.told(error)
            continue
        if language in letters:
            found[place] = Told("language")
        elif late := _not_composed(visit, of, language, source):
            found[place] = late[1]
        letters[language] = source
    return found, letters


def _typed_files(visit: Visit) -> list[str]:
    texts = [text.replace("\r\n", "\n") for text in visit.form.all("source")]
    return [text for text in texts if text.strip()]


def _require_read(visit: Visit, of: Campaign) -> None:
    """Hold the newsletter and make sure that it is a draft in the version that was read; or else have it shown."""
    try:
        revisions.require_read(visit.conn, of.id, _read(visit))
    except SavedMeanwhile:
        raise Mend({}) from None
    if lock(campaigns.get(visit.conn, of.id)):
        raise Mend({"": "editing.not_saved"})


def _read(visit: Visit) -> int:
    return number(visit.said("version")) or 0


def _save(visit: Visit, of: Campaign, revision: Revision, trial: Terms | None = None) -> None:
    saved = release.edit(visit.conn, of.id, revision, houses.house(visit.desk.settings), visit.now, trial)
    visit.note("campaign", of.id, version=saved)


def _stored(visit: Visit, of: Campaign, stored: Contents) -> Sheet | None:
    """Give what is stored; None for what only an editor of files can mend."""
    trial = trials.find(visit.conn, of.id)
    try:
        return drafting.of_stored(of, stored, trial.terms if trial is not None else None)
    except ContentInvalid:
        return None


def _conflict(visit: Visit, of: Campaign, stored: Contents, mine: Sheet | None) -> Conflict | None:
    """Give who has saved since this was read, and what; None: nobody."""
    read = _read(visit)
    if read == of.version:
        return None
    sheet = _stored(visit, of, stored) or Sheet(of.name, {})
    names = list(drafting.since(sheet, visit.form.first("prints"))) if sheet.letters else []
    now, typed = sheet.texts(), mine.texts() if mine is not None else {}
    changes = [Change(name, now.get(name, ""), typed.get(name, "")) for name in names[:_FEW]]
    versions = [one for one in authors.versions(visit.conn, of.id) if one.version > read]
    return Conflict(versions, changes, len(names) - len(changes))


def lock(of: Campaign) -> str:
    """Say why it cannot be edited; "": it can."""
    if of.renews is not None:
        return "renewal"
    if of.state is not CampaignState.DRAFT:
        return of.state
    return "series" if of.series_id is not None else ""


def _locked(visit: Visit, of: Campaign, lock: str) -> Values:
    """Say what it has become, and what can be done; what was typed stays on the page."""
    typed = drafting.typed(visit.form).letters.values() if visit.form.first("letters") else ()
    kept = [manuscript.write(letter).source for letter in typed if not manuscript.faults(letter)]
    return {**_common(of, ""), "lock": lock, "kept": [*kept, *_typed_files(visit)]}


def _common(of: Campaign, mode: str) -> dict[str, object]:
    return {"of": of, "mode": mode, "lock": "", "named": named}


def named(visit: Visit, name: str) -> str:
    """Name a field as the form does: German, article 2, link."""
    first, _, rest = name.partition(".")
    if first not in list(Language):
        return visit.say(f"editing.{first}")
    parts = rest.split(".")
    words = [visit.say(f"campaign.language_{first}")]
    if len(parts) == 3:
        words.append(visit.say(f"editing.one_{parts[0]}", number=int(parts[1]) + 1))
    return ", ".join([*words, visit.say(f"editing.{parts[-1]}")])


_P = Permission.EDIT_CAMPAIGNS
_ONE = "/campaigns/{campaign}"
PAGES = area(
    "campaigns",
    look(f"{_ONE}/edit", _P, "campaign_edit", edit),
    sized(act(f"{_ONE}/edit", _P, "editing.saved", save), LETTERS),
    look(f"{_ONE}/file", _P, "campaign_file", files),
    sized(act(f"{_ONE}/file", _P, "editing.saved", save_files), LETTERS),
)
