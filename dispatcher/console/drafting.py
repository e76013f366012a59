"""A newsletter as the fields of a form: taken from what is stored, from what was typed, and changed by a button.

    stored content files --of_stored--> Sheet <--typed-- form        Sheet --changed--> Sheet with an article more

Fields are called `de.title`, `de.articles.0.link`, `de.body`. A moment is a day and a time, a span a number and a unit;
which blocks there are says the field `de.articles`, once for each of them. What must stay true: whatever a content file
says stands in the form, and is said again when the form comes back.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from dispatcher.compose import manuscript
from dispatcher.compose.content import ENTRIES
from dispatcher.compose.manuscript import HEAD, LISTS, Entry, Manuscript
from dispatcher.db.terms import Language
from dispatcher.domain.newsletters.campaigns import Campaign, Contents
from dispatcher.domain.newsletters.trials import Terms
from dispatcher.web.forms import Form

OPTIONS = ("rate", "expires", "share", "wait", "otherwise")  # of the campaign as a whole
_USUAL = Terms()
_MOMENTS = frozenset({"as_of"})  # a day and, if one likes, a time
_SPAN = re.compile(r"([0-9]*) ?(min|h|d)")
_GERMAN_PRICE = re.compile(r"([0-9]{1,3}(\.[0-9]{3})+|[0-9]+),[0-9]{1,2}")
_ENGLISH_PRICE = re.compile(r"[0-9]{1,3}(,[0-9]{3})+\.[0-9]{1,2}")
AMBIGUOUS_PRICE = re.compile(r"[0-9]{1,3}([.,][0-9]{3})+")  # 2.412: two thousand, or two and a bit?


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the form shows: the letters, the default language's first; and the campaign's own name and options."""

    name: str
    letters: Mapping[Language, Manuscript]
    rate: str = ""
    expires: str = ""
    share: str = str(_USUAL.share)  # of a trial of subjects, its wait, and what the rest gets when nothing is clear
    wait: str = f"{_USUAL.wait // timedelta(hours=1)}h"
    otherwise: str = _USUAL.otherwise

    @property
    def subjects(self) -> int:
        """Count the subjects of the default language that are tried; 0: there is one, and no trial."""
        written = next(iter(self.letters.values())).head.get("subjects", "") if self.letters else ""
        return len([line for line in written.split("\n") if line.strip()])

    @property
    def default(self) -> Language:
        """Give the language of whoever reads none of the others."""
        return next(iter(self.letters))

    def texts(self) -> dict[str, str]:
        """Give every text by the name of its field."""
        found = {"name": self.name, "default": str(self.default)}
        found |= {option: str(getattr(self, option)) for option in OPTIONS}
        for language, letter in self.letters.items():
            found |= {f"{language}.{name}": text for name, text in _as_typed(letter)}
        return found

    def prints(self) -> str:
        """Give a short print of every text, for whoever wants to know later which of them somebody else has changed."""
        return " ".join(f"{name}={_print(text)}" for name, text in self.texts().items())


def of_stored(of: Campaign, contents: Contents, terms: Terms | None = None) -> Sheet:
    """Give what is stored. Raises ContentInvalid for a file that cannot be taken apart."""
    order = sorted(contents, key=lambda language: language is not of.default_language)
    letters = {language: _with_subject(manuscript.read(contents[language][1], file=contents[language][0]), of)
               for language in order}  # fmt: skip
    said = terms or _USUAL
    minutes = said.wait // timedelta(minutes=1)
    wait = f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}min"
    rate, expires = str(of.rate_per_min or ""), f"{of.expires_after_s / 3600:g}"
    return Sheet(of.name, letters, rate, expires, str(said.share), wait, said.otherwise)


def typed(form: Form) -> Sheet:
    """Give what was typed."""
    written = [Language(word) for word in form.all("letters") if word in list(Language)]
    first = form.first("default")
    order = sorted(dict.fromkeys(written), key=lambda language: str(language) != first)
    letters = {language: _letter(form, language) for language in order}
    said = {option: form.first(option).strip() for option in OPTIONS}
    if said["wait"].isdigit():
        said["wait"] += form.first("wait.unit")
    return Sheet(form.first("name").strip(), letters, **said)


def changed(sheet: Sheet, button: str) -> Sheet:
    """Give the sheet after a button was pressed: `add de articles`, `remove de articles 0`, `up de articles 1`, `write
    en`, `drop en`. Anything else changes nothing.
    """
    match button.split():
        case [deed, word, name, *place] if word in sheet.letters and name in LISTS:
            language = Language(word)
            letter = sheet.letters[language]
            entries = _moved(list(letter.entries.get(name, ())), deed, int(place[0]) if place else 0)
            changed_letter = replace(letter, entries={**letter.entries, name: tuple(entries)})
            return replace(sheet, letters={**sheet.letters, language: changed_letter})
        case ["write", word] if word in list(Language) and word not in sheet.letters:
            language = Language(word)
            copied = replace(sheet.letters[sheet.default], language=language)
            return replace(sheet, letters={**sheet.letters, language: copied})
        case ["drop", word] if len(sheet.letters) > 1:
            return replace(sheet, letters={key: one for key, one in sheet.letters.items() if key != word})
    return sheet


def contents_of(sheet: Sheet, of: Campaign, stored: Contents) -> tuple[str, Contents]:
    """Give the campaign's subject and the content files, the default language's first. A letter in which nothing was
    changed keeps its file as it is. Raises ContentInvalid.
    """
    subject = sheet.letters[sheet.default].head.get("subject", "") or of.subject
    files: Contents = {}
    for language, letter in sheet.letters.items():
        file, source = stored.get(language, (file_name(language, stored), ""))
        old = manuscript.read(source, file=file) if source else None
        own = letter
        if letter.head.get("subject", "") == subject and (old is None or not old.head.get("subject")):
            own = replace(letter, head={key: text for key, text in letter.head.items() if key != "subject"})
        files[language] = (
            file,
            source if old is not None and _says_the_same(own, old) else manuscript.write(own).source,
        )
    return subject, files


def since(sheet: Sheet, prints: str) -> Iterator[str]:
    """Name the fields of a sheet that are not any more what the prints were taken of."""
    old, texts = _read_prints(prints), sheet.texts()
    for name in [*texts, *(gone for gone in old if gone not in texts)]:
        if old.get(name, _print("")) != _print(texts.get(name, "")):
            yield name


def merged(mine: Sheet, theirs: Sheet, prints: str) -> Sheet:
    """Give what was typed, with what somebody else has saved since in all that was left as it was read."""
    old = _read_prints(prints)
    letters = {
        language: _Merge(f"{language}.", old).letter(letter, theirs.letters[language])
        if language in theirs.letters
        else letter
        for language, letter in mine.letters.items()
    }
    pick = _Merge("", old).pick
    options = {option: pick(option, getattr(mine, option), getattr(theirs, option)) for option in OPTIONS}
    return Sheet(pick("name", mine.name, theirs.name), letters, **options)


class _Merge:
    """Of two who wrote one letter, text by text: whoever left one as it was read gives way. `old`: prints as read."""

    def __init__(self, prefix: str, old: Mapping[str, str]) -> None:
        self._prefix, self._old = prefix, old

    def letter(self, mine: Manuscript, theirs: Manuscript) -> Manuscript:
        head = {key: self.pick(key, mine.head.get(key, ""), theirs.head.get(key, "")) for key in HEAD}
        entries = {name: self._list(name, mine.entries.get(name, ()), theirs.entries.get(name, ())) for name in ENTRIES}
        return replace(mine, head=head, entries=entries, body=self.pick("body", mine.body, theirs.body))

    def pick(self, name: str, mine: str, theirs: str) -> str:
        return theirs if self._was_left(name, mine) else mine

    def _was_left(self, name: str, mine: str) -> bool:
        return self._old.get(f"{self._prefix}{name}", _print("")) == _print(mine)

    def _list(self, name: str, mine: Sequence[Entry], theirs: Sequence[Entry]) -> tuple[Entry, ...]:
        """A list that was left is theirs; one in which none came and none went is merged; any other is mine."""
        stood = {key: it for key, it in self._old.items() if key.startswith(f"{self._prefix}{name}.")}
        texts = {key: text for at, entry in enumerate(mine) for key, text in _named(f"{name}.{at}", entry)}
        if stood == {f"{self._prefix}{key}": _print(text) for key, text in texts.items()}:
            return tuple(theirs)
        count = len({key.split(".")[2] for key in stood})
        if not len(mine) == len(theirs) == count:
            return tuple(mine)
        pairs = enumerate(zip(mine, theirs, strict=True))
        return tuple(self._entry(f"{name}.{at}", one, other, ENTRIES[name]) for at, (one, other) in pairs)

    def _entry(self, name: str, mine: Entry, theirs: Entry, keys: Sequence[str]) -> Entry:
        given = {key: theirs if self._was_left(f"{name}.{key}", mine.get(key, "")) else mine for key in keys}
        return {key: source[key] for key, source in given.items() if key in source}


def _named(name: str, entry: Entry) -> Iterator[tuple[str, str]]:
    return ((f"{name}.{key}", text) for key, text in entry.items() if text or key == "alt")


def day_of(moment: str) -> str:
    """Give the day of a moment as it was written."""
    return re.split("[ T]", moment, maxsplit=1)[0]


def time_of(moment: str) -> str:
    """Give the time of a moment as it was written; "" for a day alone."""
    return "".join(re.split("[ T]", moment, maxsplit=1)[1:])


def is_day(text: str) -> bool:
    """Claim that a browser's own field for days can show this; nothing, too."""
    return not text or re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) is not None


def is_time(text: str) -> bool:
    """Claim that a browser's own field for times can show this; nothing, too."""
    return not text or re.fullmatch(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?", text) is not None


def span_of(span: str) -> tuple[str, str]:
    """Give number and unit of a span as it was written; one that is none stands in the number."""
    found = _SPAN.fullmatch(span)
    return (found[1], found[2]) if found else (span, "h")


def _letter(form: Form, language: Language) -> Manuscript:
    head = {key: _text(form, f"{language}.{key}", key) for key in HEAD}
    span = head["prices_good_for"]
    if span:
        head["prices_good_for"] = span + form.first(f"{language}.prices_good_for.unit") if span.isdigit() else span
    entries = {}
    for name, keys in ENTRIES.items():
        numbers = form.all(f"{language}.{name}") if name in LISTS else ("0",)
        if found := tuple(_entry(form, f"{language}.{name}.{number}", keys) for number in numbers):
            entries[name] = found
    return Manuscript(language, head, entries, _lines(form.first(f"{language}.body")).strip("\n"))


def _entry(form: Form, name: str, keys: Sequence[str]) -> dict[str, str]:
    entry = {key: text for key in keys if (text := _text(form, f"{name}.{key}", key))}
    if "alt" in keys and "alt" not in entry and form.first(f"{name}.ornament"):
        entry["alt"] = ""
    return entry


def _text(form: Form, name: str, key: str) -> str:
    text = _lines(form.first(name)).strip()
    if key in _MOMENTS:
        return f"{text} {form.first(f'{name}.time').strip()}".strip()
    if key == "price":
        return _price(text)
    if key == "subjects":
        return "\n".join(" ".join(line.split()) for line in text.split("\n") if line.strip())
    return text if key == "text" else " ".join(text.split())


def _price(text: str) -> str:
    """Give a price as files have it, however a German or an Englishman writes it, where there can be no doubt."""
    if _GERMAN_PRICE.fullmatch(text):
        return text.replace(".", "").replace(",", ".")
    return text.replace(",", "") if _ENGLISH_PRICE.fullmatch(text) else text


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _moved(entries: list[Mapping[str, str]], deed: str, at: int) -> list[Mapping[str, str]]:
    match deed:
        case "add":
            return [*entries, {}]
        case "remove" if at < len(entries):
            return entries[:at] + entries[at + 1 :]
        case "up" if 0 < at < len(entries):
            return [*entries[: at - 1], entries[at], entries[at - 1], *entries[at + 1 :]]
    return entries


def _with_subject(letter: Manuscript, of: Campaign) -> Manuscript:
    return letter if letter.head.get("subject") else replace(letter, head={**letter.head, "subject": of.subject})


def _says_the_same(one: Manuscript, other: Manuscript) -> bool:
    return {*_as_typed(one)} == {*_as_typed(other)}


def _as_typed(letter: Manuscript) -> Iterator[tuple[str, str]]:
    """Give every text as the form would give it back: `90 min` as 90 and min, a moment as a day and a time."""
    for name, text in letter.texts().items():
        match name.rpartition(".")[2]:
            case "as_of":
                yield name, f"{day_of(text)} {time_of(text)}".strip()
            case "prices_good_for":
                yield name, "".join(span_of(text))
            case _:
                yield name, text


def file_name(language: Language, stored: Contents) -> str:
    stems = [file.removesuffix(".md").removesuffix(f".{other}") for other, (file, _) in stored.items()]
    return f"{stems[0] if stems else 'content'}.{language}.md"


def _read_prints(prints: str) -> dict[str, str]:
    return {name: it for name, _, it in (one.partition("=") for one in prints.split())}


def _print(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:10]
