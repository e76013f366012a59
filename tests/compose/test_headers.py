"""Every header as raw bytes: what another program reads, not what Python reads back of its own."""

from dataclasses import replace
from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.compose import headers
from dispatcher.compose.letter import Press
from dispatcher.compose.quoted_printable import is_clean
from dispatcher.errors import InputRefused
from tests.compose.samples import ASKER, HOUSE, READER, TOKEN, edition, header_lines, press, service

USUAL = (
    READER.message_id, READER.envelope_sender, READER.unsubscribe_mailto, READER.unsubscribe_url,
    READER.preferences_url, READER.view_url,
)  # fmt: skip
ONE_LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=120)


def decoded(value: str) -> str:
    return str(make_header(decode_header(value.replace("\r\n", ""))))


def test_a_newsletter_has_these_headers_in_these_bytes() -> None:
    head = press().letter(READER).body.split(b"\r\n\r\n", 1)[0]
    boundary = head.rsplit(b'"', 2)[1]
    assert head == (
        b"Date: Fri, 20 Nov 2026 09:45:00 +0000\r\n"
        b"From: Beispiel Edelmetalle <news@news.example.de>\r\n"
        b"To: Maria Muster <maria@example.com>\r\n"
        b"Subject: Ein Betreff\r\n"
        b"Message-ID: <9f2c51d0a7b34e6f@news.example.de>\r\n"
        b"List-Unsubscribe: <https://news.example.de/u/AXq7mZ0tVwS5y1bQk9Lr3uHcJfNd>,\r\n"
        b" <mailto:u+AXq7mZ0tVwS5y1bQk9Lr3uHcJfNd@bounce.example.de>\r\n"
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        b"List-Id: Produktnachrichten <product.news.example.de>\r\n"
        b"Feedback-ID: 7:product-news:newsletter:beispiel\r\n"
        b"Precedence: bulk\r\n"
        b"Content-Language: de\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: multipart/alternative;\r\n"
        b' boundary="' + boundary + b'"'
    )


@pytest.mark.parametrize("kind", ["confirm", "leave-address", "take-address", "moved"])
def test_a_letter_around_consent_is_marked_as_automatic_and_is_no_list_mail(kind: str) -> None:
    head = service(kind).letter(ASKER).body.split(b"\r\n\r\n", 1)[0]
    assert b"\r\nAuto-Submitted: auto-generated\r\n" in head
    for name in (b"List-", b"Precedence", b"Feedback-ID"):
        assert name not in head


def test_who_is_asked_to_renew_can_leave_with_one_click_and_it_is_no_bulk_mail() -> None:
    asked = replace(READER, confirm_url=ASKER.confirm_url, requested_topics="finance-news")
    head = service("renew").letter(asked).body.split(b"\r\n\r\n", 1)[0]
    assert b"\r\nAuto-Submitted: auto-generated\r\n" in head
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in head
    assert READER.unsubscribe_url.encode() in head
    for name in (b"List-Id", b"Precedence", b"Feedback-ID"):
        assert name not in head


def test_both_unsubscribe_uris_share_a_line_where_they_fit() -> None:
    short = headers.list_unsubscribe("https://a.example.de/u/T", "u+T@b.example.de")
    assert short == "<https://a.example.de/u/T>, <mailto:u+T@b.example.de>"


def test_an_overlong_token_is_neither_broken_nor_encoded() -> None:
    url = "https://news.example.de/u/" + "T" * 300
    lines = header_lines(press().letter(replace(READER, unsubscribe_url=url)), "List-Unsubscribe")
    assert lines == [f"List-Unsubscribe: <{url}>,", f" <mailto:u+{TOKEN}@bounce.example.de>"]


def test_a_token_that_no_line_could_hold_is_refused() -> None:
    with pytest.raises(InputRefused):
        press().letter(replace(READER, unsubscribe_url="https://news.example.de/u/" + "T" * 2000))


@pytest.mark.parametrize(
    "url", ["", "javascript:alert(1)", "https://news.example.de/u/ T", "https://news.example.de/u/ü", "https://a>,<b"]
)
def test_what_is_no_web_link_is_refused_as_one(url: str) -> None:
    with pytest.raises(InputRefused):
        headers.list_unsubscribe(url, "u@bounce.example.de")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "To: maria@example.com"),
        ("Maria Muster", "To: Maria Muster <maria@example.com>"),
        ("Muster, Maria", 'To: "Muster, Maria" <maria@example.com>'),
        ('Maria "Mia" Muster', 'To: "Maria \\"Mia\\" Muster" <maria@example.com>'),
        ("back\\slash", 'To: "back\\\\slash" <maria@example.com>'),
        ("J. R. Muster", 'To: "J. R. Muster" <maria@example.com>'),
        ("Bob <b@example.com>", 'To: "Bob <b@example.com>" <maria@example.com>'),
        ("Jörg Müller", "To: =?utf-8?b?SsO2cmcgTcO8bGxlcg==?= <maria@example.com>"),
        ("Zoë Weber-Lindqvist", "To: =?utf-8?q?Zo=C3=AB_Weber-Lindqvist?= <maria@example.com>"),
        ("=?utf-8?q?x?=", "To: =?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <maria@example.com>"),
        ("Ada 🌟", "To: =?utf-8?b?QWRhIPCfjJ8=?= <maria@example.com>"),
    ],
)
def test_names_are_bare_quoted_or_encoded(name: str, expected: str) -> None:
    assert header_lines(press().letter(replace(READER, name=name)), "To") == [expected]


def test_a_long_name_is_folded_in_words_of_whole_characters() -> None:
    name = "Jürgen-Göran Müßiggänger von und zu Überlingen-Größenwahn auf Schloß Öhringen"
    lines = header_lines(press().letter(replace(READER, name=name)), "To")
    assert lines[-1].endswith("<maria@example.com>")
    assert all(len(line) <= 76 for line in lines)
    words = [word for line in lines for word in line.split() if word.startswith("=?")]
    assert "".join(decoded(word) for word in words) == name  # each word decodes by itself


def test_a_long_subject_is_folded_at_blanks() -> None:
    subject = "A subject of plain words that goes on for rather longer than one line of seventy-six columns may be"
    lines = header_lines(press(subject=subject).letter(READER), "Subject")
    assert len(lines) == 2
    assert all(len(line) <= 76 for line in lines)
    assert "".join(lines) == f"Subject: {subject}"


@pytest.mark.parametrize(
    "subject", ["Gold hält sich über 3.500 Euro, Silber fällt zurück – und 🌟", "é" * 90, "x" * 200]
)
def test_other_subjects_are_words_of_at_most_75(subject: str) -> None:
    lines = header_lines(press(subject=subject).letter(READER), "Subject")
    assert all(len(line) <= 76 for line in lines)
    words = " ".join(lines).removeprefix("Subject:").split()
    assert all(word.startswith("=?utf-8?") and len(word) <= 75 for word in words)
    assert "".join(decoded(word) for word in words) == subject


def test_a_subject_with_a_name_is_encoded_for_each_recipient() -> None:
    machine = press(subject="Für {{ name }}{% if not name %}Sie{% endif %}: 5 {% raw %}{{ x }}{% endraw %}")
    assert decoded(header_lines(machine.letter(READER), "Subject")[0]) == "Subject: Für Maria Muster: 5 {{ x }}"
    assert (
        decoded(header_lines(machine.letter(replace(READER, name="")), "Subject")[0]) == "Subject: Für Sie: 5 {{ x }}"
    )
    assert machine.subject(READER) == "Für Maria Muster: 5 {{ x }}"


def test_braces_in_a_header_are_text() -> None:
    house = replace(HOUSE, sender_name="{{ name }} {% x %}")
    letter = Press(edition("---\nlanguage: de\ntitle: T\n---\nText\n", house=house)).letter(READER)
    assert header_lines(letter, "From") == ["From: {{ name }} {% x %} <news@news.example.de>"]


def test_an_address_of_another_script_stays_raw_and_says_so() -> None:
    letter = press().letter(replace(READER, name="", address="jörg@xn--bcher-kva.example"))
    assert header_lines(letter, "To") == ["To: jörg@xn--bcher-kva.example"]
    assert letter.needs_smtputf8
    assert not press().letter(READER).needs_smtputf8


@pytest.mark.parametrize(
    "address",
    ["", "maria", "@example.com", "maria@", "maria@bücher.example", "a b@example.com", "a@b>,<c@d", "a\t@b.example"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    for letter in (replace(READER, address=address), replace(READER, envelope_sender=address)):
        with pytest.raises(InputRefused):
            press().letter(letter)


@given(ONE_LINE)
def test_any_subject_is_read_back_as_it_was_given(text: str) -> None:
    value = headers.subject(text)
    assert value.isascii()
    assert all(len(line) <= 76 for line in f"Subject: {value}".split("\r\n"))
    assert decoded(value) == text


@given(ONE_LINE.filter(bool))
def test_any_name_is_read_back_as_it_was_given(name: str) -> None:
    value = headers.mailbox("To", name, "maria@example.com")
    phrase, _, address = value.rpartition(" ")
    assert address == "<maria@example.com>"
    phrase = phrase.removesuffix("\r\n")
    if phrase.startswith('"'):
        assert phrase[1:-1].replace('\\"', '"').replace("\\\\", "\\") == name
    else:
        assert decoded(phrase) == name


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.sampled_from("\r\n\0"), st.text(max_size=20))
def test_no_line_break_and_no_nul_passes_into_any_header(before: str, bad: str, after: str) -> None:
    value = f"{before}{bad}{after}"
    calls = [
        lambda: headers.subject(value),
        lambda: headers.mailbox("To", value, "maria@example.com"),
        lambda: headers.mailbox("To", "", f"{value}@example.com"),
        lambda: headers.message_id(f"{value}@example.com"),
        lambda: headers.list_unsubscribe(f"https://example.de/{value}", "u@example.de"),
        lambda: headers.list_unsubscribe("https://example.de/u", f"{value}@example.de"),
        lambda: headers.list_id(value, "product", "example.de"),
        lambda: headers.guard("Date", value),
    ]
    for call in calls:
        with pytest.raises(InputRefused):
            call()


def test_half_a_character_is_refused() -> None:
    with pytest.raises(InputRefused):
        press().letter(replace(READER, name="a\ud800b"))


def test_a_message_id_beyond_ascii_is_refused() -> None:
    with pytest.raises(InputRefused):
        press().letter(replace(READER, message_id="jörg@news.example.de"))


@given(
    st.lists(st.from_regex(r"(?:https?://|x@)?[a-c.@/ \"=&<>\x00\r\nä-]{1,6}", fullmatch=True), min_size=6, max_size=6)
)
def test_what_is_made_as_usual_would_be_refused_by_nothing_and_altered_by_nothing(made: list[str]) -> None:
    made = [given if headers.are_usual(" ".join((*USUAL[:at], given, *USUAL[at + 1 :]))) else usual
            for at, (given, usual) in enumerate(zip(made, USUAL, strict=True))]  # fmt: skip
    assert headers.are_usual(" ".join(made))
    message_id, sender, mailto, *links = made
    assert headers.message_id(message_id) == f"<{message_id}>"
    assert headers.check_address("the envelope sender", sender).isascii()
    assert headers.list_unsubscribe(links[0], mailto) == headers.unsubscribe_by(links[0], f"mailto:{mailto}")
    assert all(is_clean(link) for link in links)


def test_the_letters_of_a_house_are_made_as_usual() -> None:
    assert headers.are_usual(" ".join(USUAL))
