"""Feeds as strangers write them: read to the end or refused in words; and nothing of theirs is more than text."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.compose.content import parse_content
from dispatcher.compose.digest import MOST_ARTICLES, Digest, write
from dispatcher.compose.news import LARGEST, Entry, News, Unread, plain, read
from dispatcher.db.terms import Language

URL = "https://www.example.de/news/feed.xml"
NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
ATOM = """<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom"><title>Märkte</title>
<entry><id>urn:1</id><title>Gold steigt</title><link rel="alternate" href="/gold"/>
<updated>2026-11-19T10:00:00+01:00</updated><summary>Um ein Prozent.</summary></entry>
<entry><id>urn:2</id><title type="html">&lt;b&gt;Silber&lt;/b&gt; fällt</title><link href="https://www.example.de/silber"/>
<published>2026-11-20T07:00:00Z</published><updated>2026-11-20T07:30:00Z</updated>
<content type="html">&lt;p&gt;Erst.&lt;/p&gt;&lt;p&gt;Dann.&lt;/p&gt;</content></entry></feed>"""


def rss(*items: str) -> bytes:
    """Write an RSS feed of these items."""
    body = "".join(f"<item>{item}</item>" for item in items)
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>N</title>{body}</channel></rss>'.encode()


def news(octets: bytes) -> News:
    found = read(octets, URL)
    assert isinstance(found, News), found
    return found


def why(octets: bytes) -> str:
    found = read(octets, URL)
    assert isinstance(found, Unread), found
    return found.why


def entry(**said: object) -> Entry:
    facts = {"key": b"k", "title": "T", "summary": "", "link": "", "at": None}
    return Entry(**(facts | said))  # type: ignore[arg-type]


def test_an_atom_feed_is_read_newest_first_with_whole_links() -> None:
    found = news(ATOM.encode())
    assert found.title == "Märkte"
    assert [(one.title, one.summary, one.link, one.at) for one in found.entries] == [
        ("Silber fällt", "Erst. Dann.", "https://www.example.de/silber", datetime(2026, 11, 20, 7, 0, tzinfo=UTC)),
        ("Gold steigt", "Um ein Prozent.", "https://www.example.de/gold", datetime(2026, 11, 19, 9, 0, tzinfo=UTC)),
    ]


def test_entries_are_told_apart_by_id_then_link_then_title_and_come_once_each() -> None:
    found = news(
        rss(
            "<guid>1</guid><title>a</title>",
            "<guid>1</guid><title>a, mended</title>",
            "<link>https://example.de/b</link><title>b</title>",
            "<link>https://example.de/b</link><title>b again</title>",
            "<title>c</title>",
            "<title>c</title>",
            "<description>only a text</description>",
            "<link>https://example.de/bare</link>",
            "<pubDate>not a date</pubDate><title>d</title>",
        )
    )
    assert [one.title for one in found.entries] == ["a", "b", "c", "only a text", "d"]
    assert found.unusable == 1
    assert len({one.key for one in found.entries}) == 5
    assert {one.at for one in found.entries} == {None}


@pytest.mark.parametrize(
    "link",
    ["javascript:alert(1)", "data:text/html,x", "ftp://example.de/", "https://[::1", "https://a:b@example.de/",
     "https://example.de/" + "x" * 2000],
)  # fmt: skip
def test_a_link_that_is_none_of_the_web_vanishes(link: str) -> None:
    (found,) = news(rss(f"<title>t</title><guid>1</guid><link>{link}</link>")).entries
    assert found.link == ""


def test_a_number_is_no_address_and_an_address_is_one() -> None:
    found = news(rss("<title>a</title><guid>17</guid>", "<title>b</title><guid>https://example.de/b</guid>"))
    assert [one.link for one in found.entries] == ["", "https://example.de/b"]


def test_markup_of_theirs_is_text_and_what_is_no_text_is_gone() -> None:
    markup = (
        "<p>Erstens &amp; letztens</p><script>alert(1)</script><iframe src='x'>y</iframe><style>p{}</style>"
        "<img src=x onerror=alert(1)><a href='javascript:x'>ein Link</a><!-- z --><ul><li>a<li>b</ul>\u202eabc\x07"
    )
    assert plain(markup, 400) == "Erstens & letztens ein Link a b abc"
    assert plain("eins zwei drei", 10) == "eins zwei …"
    assert plain("x" * 20, 10) == "x" * 10 + "…"


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", "it is empty"),
        (b"  \n", "it is empty"),
        (b"PDF-1.7", "it is not XML: syntax error, line 1"),
        (b"<rss><channel>", "it is not XML: no element found, line 1"),
        (b"<html><body/></html>", "it is XML, but neither RSS nor Atom"),
        (b"<?xml version='1.0' encoding='klingon'?><rss/>", "it is not XML: unknown encoding: klingon"),
        (b"x" * (LARGEST + 1), "it is larger than 2 MB"),
        (b"<rss>" + b"<a>" * 200, "more than 100 elements stand within each other"),
        (
            b'<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><rss version="2.0">&b;</rss>',
            "it declares entities of its own",
        ),
        (b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/hostname">]><rss>&a;</rss>', "it declares entities of its own"),
        (b'<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1/x">%p;]><rss/>', "it declares entities of its own"),
    ],
)
def test_what_is_no_feed_is_refused_in_words(octets: bytes, said: str) -> None:
    assert why(octets) == said


def test_of_a_feed_without_end_the_first_thousand_entries_are_read() -> None:
    found = news(rss(*(f"<title>n{number}</title>" for number in range(1100))))
    assert (len(found.entries), found.beyond) == (1000, 100)


def test_a_feed_in_an_older_encoding_is_read() -> None:
    octets = '<?xml version="1.0" encoding="windows-1252"?><rss version="2.0"><channel><item><title>Öl – 80 €</title>'
    assert news((octets + "</item></channel></rss>").encode("cp1252")).entries[0].title == "Öl – 80 €"


def test_a_digest_reads_as_if_somebody_had_written_it() -> None:
    at = datetime(2026, 11, 19, 23, 30, tzinfo=UTC)
    said = write(
        Digest(
            Language.DE, "Der Markt", NOW, [entry(title="Gold", summary="1.5 % *mehr*", link="https://e.de/", at=at)]
        )
    )
    assert said == (
        "---\nlanguage: de\ntitle: Der Markt\npreheader: Gold\nas_of: 2026-11-20 09:00\narticles:\n"
        "- title: Gold\n  text: '*20. November 2026* – 1.5 % \\*mehr\\*'\n  link: https://e.de/\n---\n"
    )


_NASTY = st.text(st.sampled_from(list("{}%#*_[]()<>`\\&!|~:-+=.\"' \n1aä\u2028🌟")), max_size=60)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(_NASTY, _NASTY), min_size=1, max_size=3))
def test_whatever_strangers_write_is_text_in_the_letter(said: list[tuple[str, str]]) -> None:
    entries = [
        entry(key=bytes([n]), title=plain(title, 200) or "t", summary=plain(summary, 400))
        for n, (title, summary) in enumerate(said)
    ]
    content = parse_content(write(Digest(Language.EN, "News", NOW, entries)), file="feed.md")
    assert content.snippets == ()
    for written, article in zip(entries, content.articles, strict=True):
        assert article.title == written.title
        shown = article.text.html() if article.text else ""
        assert plain(shown, 1000) == " ".join(written.summary.split())
        assert shown.count("<") == (2 if written.summary else 0)


def test_the_largest_digest_is_a_letter_that_no_mailbox_cuts_off() -> None:
    entries = [
        entry(key=bytes([n]), title="T" * 200, summary="S" * 400, link="https://example.de/" + "l" * 980, at=NOW)
        for n in range(MOST_ARTICLES)
    ]
    assert len(parse_content(write(Digest(Language.DE, "Titel", NOW, entries)), file="f").articles) == MOST_ARTICLES
