"""What an author wrote, looked over: leaks, stale prices, what the law wants, pictures that say nothing."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from dispatcher.db.terms import Topic
from dispatcher.sending.preflight import authored
from dispatcher.sending.preflight.examination import Examination
from dispatcher.sending.preflight.findings import Finding, Severity
from dispatcher.sending.preflight.page import read_page
from dispatcher.zone import ZONE
from tests import builders
from tests.sending.preflight.conftest import Open
from tests.web.visitor import on_sqlite

pytestmark = on_sqlite
CONTENT = builders.CONTENT
Found = list[tuple[str, Severity, str]]


def found(check: Callable[[Examination], Iterator[Finding]], exam: Examination) -> Found:
    return [(f.name, f.severity, f.where) for f in check(exam)]


def with_text(text: str) -> str:
    return CONTENT.replace("der Goldpreis", f"{text} der Goldpreis")


def with_head(lines: Iterable[str]) -> str:
    return CONTENT.replace("as_of: 2026-11-20 17:30\n", "\n".join(lines) + "\n")


def test_every_subject_of_a_trial_is_looked_at_with_a_name_and_without(lay: Open) -> None:
    for subject in ("TODO", "{% if not name %}TODO{% endif %} Gold"):
        exam = lay(CONTENT.replace("title:", f'subjects: [Gold, Silber, "{subject}"]\ntitle:'))
        told = found(authored.check_placeholders, exam)
        assert [(name, severity) for name, severity, _ in told] == [("draft", Severity.WARN)]


def test_a_letter_as_it_should_be_has_nothing_that_is_found(lay: Open) -> None:
    exam = lay()
    quiet = (authored.check_content, authored.check_placeholders, authored.check_legal, authored.check_size)
    assert [found(check, exam) for check in quiet] == [[], [], [], []]


@pytest.mark.parametrize(
    ("text", "name", "severity"),
    [
        ("*|FNAME|*", "left", Severity.STOP),
        ("%%vorname%%", "left", Severity.STOP),
        ("%VORNAME%", "left", Severity.STOP),
        ("[Vorname]", "left", Severity.STOP),
        ("${name}", "left", Severity.STOP),
        ("{% raw %}{{ name }}{% endraw %}", "left", Severity.STOP),
        ("undefined", "left", Severity.STOP),
        ("[Anlass]", "gap", Severity.WARN),
        ("[hier das Datum einsetzen]", "gap", Severity.WARN),
        ("[[Anlass]]", "left", Severity.STOP),
        ("TODO", "draft", Severity.WARN),
        ("Lorem ipsum", "draft", Severity.WARN),
    ],
)
def test_what_should_have_been_filled_in_is_found(lay: Open, text: str, name: str, severity: Severity) -> None:
    told = found(authored.check_placeholders, lay(with_text(text)))
    assert {(n, s) for n, s, _ in told} == {(name, severity)}


def test_a_leak_that_only_readers_without_a_name_see_is_found_with_its_line(lay: Open) -> None:
    (told,) = found(authored.check_placeholders, lay(with_text("{% if name %}{% else %}[Name]{% endif %}")))
    assert told == ("left", Severity.STOP, "news.de.md:9")


@pytest.mark.parametrize(
    "text",
    [
        "10 % Rabatt", "100 % Gold", "[Mehr](https://www.example.de/)", "ein Todo-Heft", "$ 20",
        "[Der ganze Bericht][bericht]\n\n[bericht]: https://www.example.de/ \"Bericht\"\n\nund",
        "[Bericht]\n\n[Bericht]: https://www.example.de/\n\nund", "wie gesagt [1], [^2] und [d]er",
        "„Gold [...] steigt [sic]“", "[Anzeige]", "[PDF]", "- [x] getan\n- [ ] offen\n\nund",
    ],
)  # fmt: skip
def test_words_that_only_look_a_little_like_it_are_left_alone(lay: Open, text: str) -> None:
    assert found(authored.check_placeholders, lay(with_text(text))) == []


@pytest.mark.parametrize("markup", ["<script>alert(1)</script>", "<iframe src=x>", '<span style="x">', "<br>"])
def test_html_that_readers_would_see_as_text_is_found(lay: Open, markup: str) -> None:
    exam = lay(with_text(markup))
    assert ("markup", Severity.WARN) in {(n, s) for n, s, _ in found(authored.check_content, exam)}
    assert not {"script", "iframe", "span"} & read_page(exam.looks[exam.of.default_language].html).elements


def test_an_old_price_is_told_with_its_age_and_one_of_the_future_stops(lay: Open) -> None:
    exam = lay(CONTENT)
    at = exam.now.astimezone(ZONE)
    for hours, told in ((2, []), (30, ["stale"]), (-2, ["ahead"])):
        moment = f"as_of: {at - timedelta(hours=hours):%Y-%m-%d %H:%M}"
        assert [n for n, _, _ in found(authored.check_prices, lay(with_head([moment])))] == told


def test_a_price_is_judged_by_the_moment_at_which_the_letter_goes(lay: Open) -> None:
    exam = lay(with_head([f"as_of: {lay().now.astimezone(ZONE):%Y-%m-%d %H:%M}"]))
    assert found(authored.check_prices, exam) == []
    assert [n for n, _, _ in found(authored.check_prices, replace(exam, goes_at=exam.now + timedelta(hours=48)))] == [
        "stale"
    ]


def test_an_offer_that_is_over_stops_and_one_that_ends_that_day_is_told(lay: Open) -> None:
    today = lay().now.astimezone(ZONE).date()
    for days, told in ((1, []), (0, [("last_day", Severity.WARN)]), (-1, [("over", Severity.STOP)])):
        offer = ["offers:", "  - title: Zehn Unzen", f"    valid_until: {today + timedelta(days=days)}"]
        exam = lay(with_head(offer), topic=Topic.SPECIAL_OFFERS)
        assert [(n, s) for n, s, _ in found(authored.check_prices, exam)] == told


def test_a_template_that_lost_the_impressum_or_the_way_to_leave_stops_part_by_part(lay: Open) -> None:
    exam = lay()
    ((language, look),) = exam.looks.items()
    mangled = replace(
        look,
        text=look.text.replace("Musterweg", "Weg").replace(look.fields.unsubscribe_url, ""),
        page=read_page(look.html.replace(look.fields.unsubscribe_url, "https://www.example.de/")),
        raw=look.raw.replace(b"List-Unsubscribe-Post", b"X-Nothing"),
    )
    told = [
        (f.name, f.severity, f.values.get("part"))
        for f in authored.check_legal(replace(exam, looks={language: mangled}))
    ]
    assert told == [
        ("no_unsubscribe", Severity.STOP, "HTML"),
        ("no_impressum", Severity.STOP, "Text"),
        ("no_unsubscribe", Severity.STOP, "Text"),
        ("no_button", Severity.STOP, None),
    ]


def test_an_impressum_of_several_lines_with_links_is_recognised_in_both_parts(lay: Open, stage) -> None:
    impressum = "**Beispiel GmbH**\nMusterweg 1\n\n[Kontakt](https://www.example.de/kontakt), Tel. 0123"
    exam = lay(house=replace(stage.house, impressum=impressum))
    assert found(authored.check_legal, exam) == []


def test_a_letter_near_gmails_clip_is_told(lay: Open) -> None:
    assert found(authored.check_size, lay(with_text("Wort " * 16_000))) == [("near_clip", Severity.WARN, "news.de.md")]


@pytest.mark.parametrize(
    ("markdown", "told"),
    [
        ("![](https://www.example.de/a.png)", ["no_alt"]),
        ("![IMG_1234.jpg](https://www.example.de/a.png)", ["alt_is_file"]),
        ("![Bild 3](https://www.example.de/a.png)", ["alt_is_file"]),
        ("![Ein Barren](https://www.example.de/a.png)", []),
    ],
)
def test_a_picture_that_says_nothing_is_told(lay: Open, markdown: str, told: list[str]) -> None:
    assert [n for n, _, _ in found(authored.check_alternatives, lay(with_text(markdown)))] == told


def test_a_picture_that_was_declared_an_ornament_is_left_alone(lay: Open) -> None:
    article = [
        "as_of: 2026-11-20",
        "articles:",
        "  - title: Barren",
        "    image: https://www.example.de/a.png",
        '    alt: ""',
    ]
    assert found(authored.check_alternatives, lay(with_head(article))) == []
