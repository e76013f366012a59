"""The whole letter: what stands on the wire is what the slow, standard-library composition would say."""

import re
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from lxml import html

from dispatcher.compose.edition import Edition
from dispatcher.compose.fields import Fields
from dispatcher.compose.letter import Letter, Press
from dispatcher.errors import ContentInvalid, InputRefused
from tests.compose.samples import (
    ASKER,
    HEAD,
    READER,
    edition,
    parsed,
    part,
    press,
    sample_edition,
    sample_files,
    service,
)
from tests.stories import stories

FINANCE = Press(sample_edition(next(path for path in sample_files() if path.parent.name == "finance-news")))
BRANCHES = press(
    "{{ greeting }}{% if name %} (ja){% else %} (nein){% endif %}.\n\n{% if name %}\n\n- {{ name }}\n\n"
    "{% else %}\n\nNiemand\n\n{% endif %}\n\n`{{ name|upper }}` [los]({{ preferences_url }})\n\n.x\n\nFrom here\n",
    subject="{{ name }}: ein Betreff",
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=100)


def slow(press: Press, fields: Fields) -> EmailMessage:
    """The same letter, composed by the standard library alone and read back."""
    message = EmailMessage(policy=policy.SMTP)
    message.set_content(press.plain(fields))
    message.add_alternative(press.page(fields), subtype="html")
    read = message_from_bytes(message.as_bytes(), policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


def check_wire(letter: Letter) -> None:
    assert letter.body.endswith(b"\r\n")
    lines = letter.body.split(b"\r\n")
    body_starts = lines.index(b"")
    for number, line in enumerate(lines):
        assert b"\r" not in line
        assert b"\n" not in line
        assert not line.startswith((b".", b"From "))
        assert len(line) <= (76 if number > body_starts else 998)
    assert b"\r\n\r\n".join(letter.body.split(b"\r\n\r\n")[1:]).isascii()


@pytest.mark.parametrize("machine", [FINANCE, BRANCHES], ids=["finance", "branches"])
@given(name=TEXTS, url=TEXTS)
@settings(max_examples=stories(80))
def test_any_letter_says_what_the_standard_library_would_say(machine: Press, name: str, url: str) -> None:
    fields = replace(READER, name=name, view_url=url, preferences_url=f"https://news.example.de/{url}")
    letter = machine.letter(fields)
    check_wire(letter)
    fast, reference = parsed(letter), slow(machine, fields)
    for subtype in ("plain", "html"):
        assert part(fast, subtype) == part(reference, subtype)


@pytest.mark.parametrize(
    "name", ["", "Jörg Müller", 'O\'Brien, "Bob" <b@example.com>', "Zoë 🌟 " + "ß" * 60, ".", "From x"]
)
@pytest.mark.parametrize("path", sample_files(), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_sample_letter_arrives_as_it_was_written(path: Path, name: str) -> None:
    machine, fields = Press(sample_edition(path)), replace(READER, name=name)
    letter = machine.letter(fields)
    check_wire(letter)
    fast, reference = parsed(letter), slow(machine, fields)
    assert [part(fast, s) for s in ("plain", "html")] == [part(reference, s) for s in ("plain", "html")]
    assert fast["Subject"] == machine.subject(fields)
    assert fast["To"].addresses[0].addr_spec == READER.address


@pytest.mark.parametrize(
    ("name", "greeting"), [("Jörg Müller", "Guten Tag Jörg Müller (ja)."), ("", "Guten Tag (nein).")]
)
def test_either_branch_reads_as_if_it_stood_alone(name: str, greeting: str) -> None:
    text = BRANCHES.plain(replace(READER, name=name))
    entry = f"- {name}" if name else "Niemand"
    assert f"{greeting}\n\n{entry}\n\n{name.upper()} los (https://" in text


def test_english_greets_in_english() -> None:
    machine = Press(edition(HEAD.replace("de", "en") + "{{ greeting }},\n"))
    assert "\nDear Maria Muster,\n" in machine.plain(READER)
    assert "\nHello,\n" in machine.plain(replace(READER, name=""))


def test_a_name_cannot_become_markup() -> None:
    page = part(parsed(press("{{ name }}\n").letter(replace(READER, name="<img src=x onerror=alert(1)>"))), "html")
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_a_name_cannot_become_a_template() -> None:
    text = part(parsed(press("{{ name }}\n").letter(replace(READER, name="{{ address }}{% if 1 %}"))), "plain")
    assert "{{ address }}{% if 1 %}" in text


def test_braces_of_the_author_arrive_as_braces() -> None:
    machine = press("{% raw %}{{ name }} {% if x %} {# c #}{% endraw %} }} %} #}\n")
    assert "{{ name }} {% if x %} {# c #} }} %} #}" in part(parsed(machine.letter(READER)), "plain")


def test_a_value_cannot_forge_a_part_or_a_line() -> None:
    boundary = press().letter(READER).body.split(b'boundary="', 1)[1].split(b'"', 1)[0].decode()
    fields = replace(READER, name=f"--{boundary}--", view_url="x\r\n.\r\nMAIL FROM:<a@example.com>\r\n")
    letter = press().letter(fields)
    check_wire(letter)
    assert len(list(parsed(letter).iter_parts())) == 2


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "a\r\nBcc: x@example.com"])
@pytest.mark.parametrize("field", ["name", "address", "message_id", "envelope_sender", "date", "unsubscribe_url"])
def test_a_line_break_in_any_header_field_is_refused(field: str, bad: str) -> None:
    with pytest.raises(InputRefused):
        press().letter(replace(READER, **{field: bad}))


def test_a_newsletter_to_someone_without_a_date_of_consent_is_refused_but_can_be_previewed() -> None:
    fields = replace(READER, consented_on=None)
    with pytest.raises(InputRefused):
        press().letter(fields)
    assert "Sie haben am – eingewilligt" in press().plain(fields)


def test_the_date_of_consent_is_written_in_the_letters_language() -> None:
    text = press().plain(READER)
    assert "Sie haben am 2. März 2026 eingewilligt" in " ".join(text.split())


def test_the_envelope_is_the_letters() -> None:
    letter = press().letter(READER)
    assert (letter.message_id, letter.sender, letter.recipient) == (
        READER.message_id,
        READER.envelope_sender,
        READER.address,
    )


def test_the_same_letter_has_the_same_bytes_from_a_stored_edition() -> None:
    first = edition(HEAD + "Text {{ name }}\n")
    stored = Edition.from_json(first.to_json())
    assert stored == first
    assert Press(stored).letter(READER) == Press(edition(HEAD + "Text {{ name }}\n")).letter(READER)


def test_an_edition_that_escapes_for_each_part_by_itself_as_the_first_version_did_gives_the_same_bytes() -> None:
    now = edition(HEAD + "{{ greeting }} {{ name }}\n")
    written = re.compile(r"\{% set (\w+), (\w+) = (\(\w+\))\|both %\}")
    then = replace(now, wire=written.sub(r"{% set \1 = \3|html %}{% set \2 = \3|text %}", now.wire))
    assert "|both" in now.wire
    assert "|both" not in then.wire
    for name in ("", "Maria Muster", "Jörg <b> Weiß"):
        fields = replace(READER, name=name)
        assert Press(then).letter(fields) == Press(now).letter(fields)


def test_an_edition_altered_in_the_database_is_refused() -> None:
    stored = edition(HEAD + "Text\n").to_json().replace("Precedence: bulk", "Precedence: junk")
    with pytest.raises(InputRefused):
        Edition.from_json(stored)


def test_the_wire_template_is_ascii_and_knows_only_fields() -> None:
    wire = FINANCE.edition.wire
    assert wire.isascii()
    known = re.findall(r"(?:\{\{ |\{% set [\w, ]+ = )\(?([a-z]\w*)", wire)
    assert {name.partition("__")[0] for name in known} <= {
        "date", "to", "message_id", "list_unsubscribe", "greeting", "name", "consented_on", "unsubscribe_url",
        "preferences_url", "view_url",
    }  # fmt: skip


@pytest.mark.parametrize("language", ["de", "en"])
def test_the_confirmation_says_who_when_and_for_what_and_echoes_no_name(language: str) -> None:
    machine = service("confirm", language)
    letter = machine.letter(replace(ASKER, name="Buy at evil.example"))
    check_wire(letter)
    message = parsed(letter)
    assert message["To"] == "maria@example.com"
    for subtype in ("plain", "html"):
        said = part(message, subtype)
        assert "evil" not in said
        for fact in ("maria@example.com", "2026-11-20 09:12 UTC", ASKER.confirm_url, "HRB 000000", "DE000000000"):
            assert fact in said
        assert "<img" not in said
    topics = "Finanznews und Angebote" if language == "de" else "Finance news and Special offers"
    assert topics in machine.plain(ASKER)


@pytest.mark.parametrize("language", ["de", "en"])
def test_the_letter_that_asks_to_renew_says_since_when_and_for_what_advertises_nothing_and_echoes_no_name(
    language: str,
) -> None:
    machine = service("renew", language)
    asked = replace(READER, name="Buy at evil.example", confirm_url=ASKER.confirm_url, requested_topics="finance-news")
    letter = machine.letter(asked)
    check_wire(letter)
    message = parsed(letter)
    german = language == "de"
    assert message["To"] == READER.address
    assert message["Subject"] == (
        "Bitte bestätigen Sie Ihre Einwilligung neu" if german else "Please renew your consent"
    )
    for subtype in ("plain", "html"):
        said = part(message, subtype)
        assert "evil" not in said
        for fact in (READER.address, ASKER.confirm_url, READER.unsubscribe_url, "HRB 000000", "DE000000000"):
            assert fact in said
        assert "<img" not in said
        own = re.findall(r"https?://[^\s\"<>]+", said.replace("http://www.w3.org", ""))
        assert {link.split("/")[2] for link in own} == {"news.example.de"}
    assert ("2. März 2026" if german else "2 March 2026") in machine.plain(asked)
    assert ("Finanznews" if german else "Finance news") in machine.plain(asked)


PIECES = st.sampled_from([
    "{% if name %}", "{% else %}", "{% endif %}", "{{ name }}", "{{ greeting }}", "\n\n", "\n", "- ", "> ", "*", "**",
    "`", "# ", "[", "](https://www.example.de)", "]({{ view_url }})", "| a | b |\n|---|---|\n| c | d |", "<div>",
    "</td>", "&lt;", "{", "%}", "1. ", "    ", "wort", "ä", ".", "![", "---", "\\",
])  # fmt: skip


@given(st.lists(PIECES, max_size=25))
@settings(max_examples=stories(100))
def test_any_body_is_refused_with_its_line_or_composed_whole_in_either_branch(pieces: list[str]) -> None:
    try:
        machine = Press(edition(HEAD + "x " + "".join(pieces) + "\n"))
    except ContentInvalid as fault:
        event("refused")
        assert 5 <= fault.line <= 5 + "".join(pieces).count("\n") + 1  # noqa: PT017 (either outcome is right)
        return
    event("composed")
    for name in ("", "Maria"):
        fields = replace(READER, name=name)
        check_wire(machine.letter(fields))
        assert part(parsed(machine.letter(fields)), "plain") == machine.plain(fields)
        page = html.fromstring(machine.page(fields))
        assert [foot.getparent().get("class") for foot in page.xpath("//div[@class='foot']")] == ["cell"]
        assert len(page.xpath("//td[@class='cell']/h1")) == 1
