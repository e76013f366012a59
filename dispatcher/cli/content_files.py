"""Content files, as a command names them."""

from pathlib import Path

from dispatcher.compose.content import parse_content
from dispatcher.db.terms import Language
from dispatcher.errors import ContentInvalid, InputRefused


def read_contents(file: Path) -> tuple[Language, dict[Language, tuple[str, str]]]:
    """Read a content file and its siblings in other languages; give the first one's language and all by language."""
    first = _read(file)
    default = Language(parse_content(first, file=file.name).language)
    contents = {default: (file.name, first)}
    stem = file.name.removesuffix(".md").removesuffix(f".{default}")
    for language in Language:
        sibling = file.with_name(f"{stem}.{language}.md")
        if language is not default and sibling.is_file():
            source = _read(sibling)
            stated = parse_content(source, file=sibling.name).language
            if stated != language:
                raise ContentInvalid(sibling.name, 1, f"says language: {stated}", f"write language: {language}")
            contents[language] = (sibling.name, source)
    return default, contents


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputRefused(f"{file} cannot be read: {error.strerror}", "check the path") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ContentInvalid(file.name, line, "has bytes that are not UTF-8", "save it as UTF-8") from None
