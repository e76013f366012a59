"""Files from elsewhere: other separators, encodings and columns; the exports of listmonk and Mailchimp; broken quotes.

What is told of a person there never makes anybody one who may be written to without proof.
"""

from datetime import UTC, datetime
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.db.terms import SuppressionReason, Topic
from dispatcher.domain import imports
from dispatcher.domain.imports import Claim, Format, Instructions, Lack, Rejected, Row, Says
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.errors import InputRefused

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
RING = Keyring((Key("k1", b"1" * 32),))
GOLD = (Topic.FINANCE_NEWS,)
ABOUT_GOLD = Instructions(topics=GOLD)
LISTMONK = "uuid,email,name,attributes,status,created_at,updated_at\n"
ASKED = "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LEID,EUID"


def _read(data: str | bytes, how: Instructions = ABOUT_GOLD) -> list[Row | Rejected]:
    file = BytesIO(data if isinstance(data, bytes) else data.encode())
    return list(imports.read_rows(file, RING, NOW, how))


def _claim(data: str, how: Instructions = ABOUT_GOLD) -> Claim:
    (row,) = _read(data, how)
    assert isinstance(row, Row), row
    (claim,) = row.claims
    return claim


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("hint", [False, True])
def test_separators_are_seen_by_the_header_or_named_above_it(separator: str, hint: bool) -> None:
    text = "email,name,topics\nmaria@example.de,Maria,finance-news\n".replace(",", separator)
    (row,) = _read(f"sep={separator}\n{text}" if hint else text)
    assert isinstance(row, Row)
    assert (row.address.mail, row.name, row.line) == ("maria@example.de", "Maria", 3 if hint else 2)


def test_empty_lines_before_the_header_are_passed_over() -> None:
    (row,) = _read("\n ;;\n\r\nemail;name\nmaria@example.de;Maria\n")
    assert isinstance(row, Row)
    assert row.line == 5


@pytest.mark.parametrize("encoding", ["windows-1252", "latin-1", "utf-16"])
def test_an_encoding_that_is_named_is_read(encoding: str) -> None:
    how = Instructions(topics=GOLD, encoding=encoding)
    (row,) = _read("email,name\njosef@example.de,Jörg Weiß\n".encode(encoding), how)
    assert isinstance(row, Row)
    assert row.name == "Jörg Weiß"


def test_a_byte_order_mark_wins_over_the_encoding_that_is_named() -> None:
    how = Instructions(topics=GOLD, encoding="windows-1252")
    (row,) = _read("email,name\njosef@example.de,Jörg\n".encode("utf-8-sig"), how)
    assert isinstance(row, Row)
    assert row.name == "Jörg"


@pytest.mark.parametrize("encoding", ["klingon", "base64"])
def test_an_encoding_that_is_none_of_text_is_named(encoding: str) -> None:
    with pytest.raises(InputRefused, match="there is no encoding"):
        _read("email\n", Instructions(topics=GOLD, encoding=encoding))


def test_a_file_of_one_column_needs_its_topics_named_once() -> None:
    (row,) = _read("email\nmaria@example.de\n")
    assert isinstance(row, Row)
    assert row.claims[0].topics == GOLD
    with pytest.raises(InputRefused) as caught:
        _read("email\nmaria@example.de\n", Instructions())
    assert "--topics" in caught.value.cure


def test_columns_of_any_name_are_mapped_and_what_is_not_mapped_is_left_alone() -> None:
    how = Instructions(topics=GOLD, columns={"email": "E-Mail", "first_name": "Vorname", "last_name": "Nachname"})
    table = imports.open_table(BytesIO(b"Kundennr;E-MAIL;Vorname;Nachname\n7;maria@example.de;Maria;Muster\n"), how)
    (row,) = table.rows(RING, NOW)
    assert isinstance(row, Row)
    assert (row.address.mail, row.name) == ("maria@example.de", "Maria Muster")
    assert table.layout.ignored == ("Kundennr",)


@pytest.mark.parametrize(("columns", "what"), [({"email": "Mail"}, "no column 'Mail'"), ({"mail": "E"}, "to map to")])
def test_a_mapping_to_or_from_nothing_is_named(columns: dict[str, str], what: str) -> None:
    with pytest.raises(InputRefused, match=what):
        _read("E\nmaria@example.de\n", Instructions(topics=GOLD, columns=columns))


@pytest.mark.parametrize("day", ["2026-01-31", "20260131", "2026-W05-6"])
def test_a_consent_without_a_clock_time_comes_in_as_a_wish_and_says_why(day: str) -> None:
    claim = _claim(f"email,consent_at,consent_source\nmaria@example.de,{day},form 3\n")
    assert (claim.says, claim.at, claim.lack) == (Says.WISHES, None, Lack.NO_CLOCK_TIME)


def test_a_day_in_the_future_is_refused_like_a_moment() -> None:
    (row,) = _read("email,consent_at,consent_source\nmaria@example.de,2027-01-31,form 3\n")
    assert isinstance(row, Rejected)
    assert "lies in the future" in row.reason


# --- Quotes that are never closed -----------------------------------------------------------------------------------


def test_a_quote_that_is_never_closed_costs_its_own_row_only() -> None:
    lines = ["email,name", 'a@example.de,"Anna', "b@example.de,Bert", 'c@example.de,"Carla"', "d@example.de,Dora"]
    rows = _read("\n".join(lines) + "\n")
    assert [(row.line, isinstance(row, Row)) for row in rows] == [(2, False), (3, True), (4, True), (5, True)]
    assert isinstance(rows[0], Rejected)
    assert "a quote that opens on this line is not closed" in rows[0].reason
    assert rows[0].cells == ('a@example.de,"Anna',)


def test_ten_thousand_rows_behind_a_quote_that_is_never_closed_are_all_read() -> None:
    rows = _read('email,name\na@example.de,"Anna\n' + "".join(f"p{n}@example.de,P\n" for n in range(10_000)))
    assert sum(isinstance(row, Row) for row in rows) == 10_000
    assert [row.line for row in rows] == list(range(2, 10_003))


@given(st.lists(st.sampled_from(["a@example.de,A", 'b@example.de,"B', '"', 'c@example.de,"C"', 'd,"x"y', '""', "e"])))
def test_no_line_is_lost_whatever_the_quotes(lines: list[str]) -> None:
    rows = _read("email,name\n" + "".join(f"{line}\n" for line in lines))
    good = [row.line for row in rows if isinstance(row, Row)]
    assert {n + 2 for n, line in enumerate(lines) if line == "a@example.de,A" and '"' not in "".join(lines)} <= set(
        good
    )
    assert len(good) == len(set(good))


# --- listmonk -------------------------------------------------------------------------------------------------------


def _listmonk(status: str) -> str:
    at = "2025-03-04 10:12:45.123 +0000 UTC"
    return f'{LISTMONK}0f-1,maria@example.de,Maria,"{{""city"": ""Köln""}}",{status},{at},{at}\n'


@pytest.mark.parametrize(
    ("status", "says", "topics", "reason"),
    [
        ("enabled", Says.WISHES, GOLD, None),
        ("disabled", Says.LEFT, GOLD, None),
        ("blocklisted", Says.BARRED, (), SuppressionReason.OPERATOR),
        ("blacklisted", Says.BARRED, (), SuppressionReason.OPERATOR),
    ],
)
def test_a_status_of_listmonk_subscribes_nobody(
    status: str, says: Says, topics: tuple[Topic, ...], reason: SuppressionReason | None
) -> None:
    claim = _claim(_listmonk(status))
    assert (claim.says, claim.topics, claim.reason) == (says, topics, reason)


def test_a_status_that_listmonk_does_not_have_is_rejected() -> None:
    (row,) = _read(_listmonk("fine"))
    assert isinstance(row, Rejected)
    assert row.reason == "listmonk knows no status 'fine'"


def test_of_a_file_of_people_who_left_nobody_is_taken_for_more() -> None:
    claim = _claim(_listmonk("enabled"), Instructions(topics=GOLD, everybody_left=True))
    assert (claim.says, claim.topics) == (Says.LEFT, GOLD)


# --- Mailchimp ------------------------------------------------------------------------------------------------------

PROVEN = "2025-01-01 10:00:00,192.0.2.7,2025-01-01 10:05:00,192.0.2.8"


def _mailchimp(proof: str, more: str = "", cells: str = "") -> str:
    return f"{ASKED}{more}\nmaria@example.de,Maria,Muster,2,{proof},1,ab{cells}\n"


def test_mailchimps_people_have_agreed_if_two_moments_and_two_addresses_say_so() -> None:
    (row,) = _read(_mailchimp(PROVEN))
    assert isinstance(row, Row)
    assert row.name == "Maria Muster"
    (claim,) = row.claims
    assert (claim.says, claim.at, claim.ip) == (Says.AGREED, datetime(2025, 1, 1, 10, 5, tzinfo=UTC), "192.0.2.8")
    assert claim.source == (
        "Mailchimp: asked 2025-01-01 10:00:00 UTC from 192.0.2.7, confirmed 2025-01-01 10:05:00 UTC from 192.0.2.8"
    )


@pytest.mark.parametrize(
    ("proof", "lack"),
    [
        (",,,", Lack.NO_EVIDENCE),
        (",,2025-01-01 10:05:00,192.0.2.8", Lack.NO_DOUBLE_OPT_IN),
        ("2025-01-01 10:05:00,192.0.2.7,2025-01-01 10:05:00,192.0.2.7", Lack.NO_DOUBLE_OPT_IN),
        ("2025-01-01 10:00:00,,2025-01-01 10:05:00,192.0.2.8", Lack.NO_DOUBLE_OPT_IN),
        ("2025-01-01 10:00:00,192.0.2.7,2025-01-01 10:05:00,", Lack.NO_DOUBLE_OPT_IN),
        ("2025-01-01,192.0.2.7,2025-01-02,192.0.2.7", Lack.NO_CLOCK_TIME),
    ],
)
def test_mailchimps_people_without_a_double_opt_in_must_confirm(proof: str, lack: Lack) -> None:
    claim = _claim(_mailchimp(proof))
    assert (claim.says, claim.lack) == (Says.WISHES, lack)


@pytest.mark.parametrize("time", ["2025-06-01 10:00:00", ""])
def test_whoever_unsubscribed_at_mailchimp_has_left(time: str) -> None:
    claim = _claim(_mailchimp(PROVEN, ",UNSUB_TIME,UNSUB_REASON", f",{time},NORMAL"))
    assert (claim.says, claim.topics) == (Says.LEFT, GOLD)
    assert claim.at == (datetime(2025, 6, 1, 10, tzinfo=UTC) if time else None)


@pytest.mark.parametrize("reason", ["SPAM", "N/A (Abuse complaint)"])
def test_whoever_complained_at_mailchimp_is_never_mailed(reason: str) -> None:
    claim = _claim(_mailchimp(PROVEN, ",UNSUB_TIME,UNSUB_REASON", f",2025-06-01 10:00:00,{reason}"))
    assert (claim.says, claim.topics, claim.reason) == (Says.BARRED, (), SuppressionReason.COMPLAINT)


def test_whoever_bounced_at_mailchimp_is_never_mailed() -> None:
    claim = _claim(_mailchimp(PROVEN, ",CLEAN_TIME", ",2025-06-01 10:00:00"))
    assert (claim.says, claim.topics, claim.reason) == (Says.BARRED, (), SuppressionReason.BOUNCED)


@pytest.mark.parametrize(("name", "says"), [("unsubscribed_a_1.csv", Says.LEFT), ("cleaned_a_1.csv", Says.BARRED)])
def test_the_name_of_mailchimps_file_counts_where_the_column_was_taken_out(name: str, says: Says) -> None:
    assert _claim(_mailchimp(PROVEN), Instructions(topics=GOLD, file_name=name)).says is says


def test_mailchimps_people_who_never_subscribed_are_refused() -> None:
    with pytest.raises(InputRefused, match="never subscribed") as caught:
        _read(_mailchimp(PROVEN), Instructions(topics=GOLD, file_name="nonsubscribed_members.csv"))
    assert "leave this file out" in caught.value.cure


@pytest.mark.parametrize(
    ("header", "format_"),
    [
        (LISTMONK, Format.LISTMONK),
        (ASKED + "\n", Format.MAILCHIMP),
        ("email,topics\n", Format.PLAIN),
        ("email,finance-news,finance-news_since\n", Format.OWN),
    ],
)
def test_whose_export_it_is_is_seen_by_its_columns(header: str, format_: Format) -> None:
    assert imports.open_table(BytesIO(header.encode()), ABOUT_GOLD).layout.format is format_
