"""Stage one: a campaign's content, once per language, frozen into an edition.

    Content --layout--> marked HTML, text, subject --wire--> one Jinja2 source, pure ASCII:

        Date: {{ date }}                                   filled per recipient
        From: ...                                          constant, folded and encoded now
        ...
        multipart/alternative: text/plain, then text/html; both quoted-printable, cut only where a field goes

What must stay true: an edition holds all that stage two needs (letter.py) and never changes; its SHA-256 is
evidence of what was sent. Everything that can be wrong with a letter is found here, before the first recipient.
"""

from hashlib import sha256

from dispatcher.compose import headers, wire
from dispatcher.compose.content import Content
from dispatcher.compose.edition import Edition, Kind
from dispatcher.compose.house import House
from dispatcher.compose.layout import Ready, Sheet, lay_out, of_newsletter, of_service
from dispatcher.compose.snippets import CONTENT_FIELDS, LINK_FIELDS, Snippet, lift
from dispatcher.compose.words import greetings, topic_title
from dispatcher.errors import ContentInvalid, InputRefused
from dispatcher.languages import Language

LARGEST_HTML = 100_000  # octets; Gmail clips at about 102 kB


def freeze(content: Content, *, topic: str, subject: str, house: House, campaign_id: int) -> Edition:
    """Freeze a newsletter. `subject` is the campaign's, with fields as in content; the content's own goes before it.

    Raises ContentInvalid for what the topic needs and the content lacks, and for a letter too large to arrive whole.
    """
    if topic == "finance-news" and content.as_of is None:
        raise ContentInvalid(content.file, 0, "finance news without `as_of`", "Add `as_of: 2026-03-02 10:30`.")
    marked, snippets = _subject(content, subject)
    title = topic_title(topic, content.language)
    ready = of_newsletter(content, house, topic_title=title, subject=marked)
    sheet = lay_out(topic, ready, snippets)
    bulk = [
        "List-Unsubscribe: {{ list_unsubscribe }}\r\n",
        headers.field("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        wire.literal(
            headers.field("List-Id", headers.list_id(title, topic.removesuffix("-news"), house.list_id_domain))
        ),
        wire.literal(headers.field("Feedback-ID", _feedback_id(campaign_id, topic, house))),
        headers.field("Precedence", "bulk"),
    ]
    edition = _pressed(Kind.NEWSLETTER, ready, sheet, house, bulk)
    if edition.html_size >= LARGEST_HTML:
        what = f"the letter's HTML has {edition.html_size:,} bytes: Gmail's clip cuts letters above about 102 kB"
        raise ContentInvalid(
            content.file, 0, what, f"Shorten it below {LARGEST_HTML:,} bytes; the Impressum stands last."
        )
    return edition


def freeze_service(kind: str, *, language: str, house: House) -> Edition:
    """Freeze a letter around consent: any Kind but a newsletter. No list headers: it is none. But who is asked to renew
    gets letters from us already, and can leave with one click.
    """
    ready = of_service(house, Language(language))
    sheet = lay_out(kind, ready, ())
    special = [headers.field("Auto-Submitted", "auto-generated")]
    if kind == Kind.RENEW:
        special += [
            "List-Unsubscribe: {{ list_unsubscribe }}\r\n",
            headers.field("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ]
    return _pressed(Kind(kind), ready, sheet, house, special)


def _subject(content: Content, campaigns: str) -> tuple[str, tuple[Snippet, ...]]:
    if content.subject:
        return content.subject, content.snippets
    if not campaigns.strip():
        raise ContentInvalid(content.file, 0, "the letter has no subject", "Add `subject: ...` to the front matter.")
    fields = CONTENT_FIELDS - LINK_FIELDS
    marked = lift(campaigns, file="subject", fields=fields, first=len(content.snippets))
    return marked.text, (*content.snippets, *marked.snippets)


def _feedback_id(campaign_id: int, topic: str, house: House) -> str:
    sender = house.feedback_sender_id
    if not (sender.isascii() and sender.isprintable()) or " " in sender or ":" in sender:
        raise InputRefused("the Feedback-ID's sender is not one word", "Use 5 to 15 letters and digits.")
    return f"{campaign_id}:{topic}:newsletter:{sender}"


def _pressed(kind: Kind, ready: Ready, sheet: Sheet, house: House, special: list[str]) -> Edition:
    prelude = wire.prelude(*greetings(ready.language))
    values = wire.Values()
    parts = _parts(sheet, values)
    source = prelude + values.prelude() + _head(ready.language, sheet, house, special) + parts
    html = prelude + wire.readable(sheet.html, sheet.snippets, wire.PART_HTML)
    text = prelude + wire.readable(sheet.text, sheet.snippets, wire.PART_TEXT)
    return Edition(
        kind=kind,
        language=ready.language,
        subject=prelude + wire.readable(sheet.subject, sheet.snippets, wire.PART_SUBJECT),
        html=html,
        text=text,
        wire=source,
        sha256=sha256(source.encode("ascii")).hexdigest(),
        html_size=len(html.encode()),
        text_size=len(text.encode()),
    )


def _head(language: Language, sheet: Sheet, house: House, special: list[str]) -> str:
    sender = headers.mailbox("From", house.sender_name, house.sender_address)
    if not sender.isascii():
        raise InputRefused("the sender's address is not ASCII", "Many servers would refuse every letter; use another.")
    return "".join([
        "Date: {{ date }}\r\n",
        wire.literal(headers.field("From", sender)),
        "To: {{ to }}\r\n",
        wire.subject_line(sheet.subject, sheet.snippets),
        "Message-ID: {{ message_id }}\r\n",
        *special,
        headers.field("Content-Language", language),
        headers.field("MIME-Version", "1.0"),
        headers.field("Content-Type", f'multipart/alternative;\r\n boundary="{_boundary(sheet)}"'),
        "\r\n",
    ])  # fmt: skip


def _parts(sheet: Sheet, values: wire.Values) -> str:
    between = f"--{_boundary(sheet)}"
    parts = (("plain", sheet.text, wire.PART_TEXT), ("html", sheet.html, wire.PART_HTML))
    written = [
        f"{between}\r\n"
        + headers.field("Content-Type", f'text/{subtype}; charset="utf-8"')
        + headers.field("Content-Transfer-Encoding", "quoted-printable")
        + f"\r\n{wire.encoded(marked, sheet.snippets, part, values)}\r\n"
        for subtype, marked, part in parts
    ]
    return "".join([*written, f"{between}--\r\n"])


def _boundary(sheet: Sheet) -> str:
    """The same for the same letter, so that composing again gives the same bytes. Quoted-printable never holds
    "=_" (RFC 2045 6.7 recommends it for this)."""
    return "=_" + sha256(f"{sheet.text}\0{sheet.html}".encode()).hexdigest()[:32]
