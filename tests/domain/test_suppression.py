"""The never-mail list: keyed, and a graver reason is never forgotten."""

import hashlib
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from dispatcher.db.tables import suppression as table
from dispatcher.db.terms import SuppressionReason, Topic
from dispatcher.domain import suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.people import erasure
from dispatcher.domain.tokens import Key, Keyring
from tests import builders

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MARIA = parse_address("maria@example.de")
WITHDRAWN, ERASED = SuppressionReason.WITHDRAWN, SuppressionReason.ERASED


def test_a_graver_reason_takes_the_place_of_a_withdrawal_or_an_erasure_and_no_reason_takes_its_place(
    engine: Engine, keyring: Keyring
) -> None:
    pairs = list(itertools.product(SuppressionReason, repeat=2))
    with engine.begin() as conn:
        for number, (first, second) in enumerate(pairs):
            hashed = address_hash(keyring, parse_address(f"p{number}@example.de"))
            suppression.suppress(conn, [hashed], None, first, "first", NOW)
            suppression.suppress(conn, [hashed], None, second, "second", NOW + timedelta(days=1))
            (entry,) = suppression.entries(conn, hashed)
            gives_way = (first is WITHDRAWN and second is not WITHDRAWN) or (
                first is ERASED and second not in (WITHDRAWN, ERASED)
            )
            expected = (second, "second") if gives_way else (first, "first")
            assert (entry.reason, entry.source) == expected


def test_entries_for_topics_and_for_everything_stand_side_by_side(engine: Engine, keyring: Keyring) -> None:
    hashed = address_hash(keyring, MARIA)
    with engine.begin() as conn:
        suppression.suppress(conn, [hashed], Topic.FINANCE_NEWS, WITHDRAWN, "x", NOW)
        suppression.suppress(conn, [hashed], Topic.SPECIAL_OFFERS, WITHDRAWN, "x", NOW + timedelta(seconds=1))
        suppression.suppress(conn, [hashed], None, SuppressionReason.BOUNCED, "x", NOW + timedelta(seconds=2))
        entries = suppression.entries(conn, hashed)
        suppression.lift_withdrawals(conn, hashed, [Topic.FINANCE_NEWS])
        left = suppression.entries(conn, hashed)
    assert [entry.scope for entry in entries] == ["finance-news", "special-offers", "all"]
    assert [entry.scope for entry in left] == ["special-offers", "all"]


def test_a_lifted_withdrawal_lifts_nobody_elses(engine: Engine, keyring: Keyring) -> None:
    hashes = [address_hash(keyring, parse_address(f"p{n}@example.de")) for n in range(2)]
    with engine.begin() as conn:
        suppression.suppress(conn, hashes, None, WITHDRAWN, "x", NOW)
        suppression.lift_withdrawals(conn, hashes[0], list(Topic))
        assert [len(suppression.entries(conn, hashed)) for hashed in hashes] == [0, 1]


@pytest.mark.parametrize("before", ["nobody", "current", "ended", "erased"])
def test_what_the_staff_lifts_lets_nobody_be_brought_back_who_left(
    engine: Engine, keyring: Keyring, before: str
) -> None:
    hashed = address_hash(keyring, MARIA)
    with engine.begin() as conn:
        if before != "nobody":
            (maria,) = builders.add_people(conn, keyring, [MARIA.mail], NOW).values()
            builders.agree(conn, [maria], Topic.FINANCE_NEWS, NOW)
        if before == "ended":
            builders.withdraw(conn, [maria], Topic.FINANCE_NEWS, NOW)
        if before == "erased":
            erasure.erase(conn, maria, Evidence(source="a test"), NOW)
        suppression.suppress(conn, [hashed], None, SuppressionReason.OPERATOR, "x", NOW)
        assert suppression.lift(conn, hashed, "all", "by mistake", NOW)
        left = {(entry.scope, entry.reason) for entry in suppression.entries(conn, hashed)}
    assert (
        left
        == {
            "nobody": {(topic, WITHDRAWN) for topic in Topic},
            "current": set(),
            "ended": {(Topic.FINANCE_NEWS, WITHDRAWN)},
            "erased": {(topic, ERASED) for topic in Topic},
        }[before]
    )


@pytest.mark.parametrize("reason", sorted(set(SuppressionReason) - suppression.LIFTED_BY_STAFF))
def test_the_staff_lifts_nothing_that_is_a_persons_word(
    engine: Engine, keyring: Keyring, reason: SuppressionReason
) -> None:
    hashed = address_hash(keyring, MARIA)
    with engine.begin() as conn:
        suppression.suppress(conn, [hashed], None, reason, "x", NOW)
        assert not suppression.lift(conn, hashed, "all", "by mistake", NOW)
        assert len(suppression.entries(conn, hashed)) == 1


def test_many_addresses_go_on_the_list_at_once_and_none_is_no_error(engine: Engine, keyring: Keyring) -> None:
    hashes = [address_hash(keyring, parse_address(f"p{n}@example.de")) for n in range(700)]
    with engine.begin() as conn:
        suppression.suppress(conn, iter(hashes), None, SuppressionReason.COMPLAINT, "x", NOW)
        suppression.suppress(conn, [], None, SuppressionReason.COMPLAINT, "x", NOW)
        assert len(conn.execute(select(table.c.scope)).all()) == 700


def test_the_list_holds_no_address_in_any_column(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        suppression.suppress(conn, [address_hash(keyring, MARIA)], None, SuppressionReason.COMPLAINT, "report 7", NOW)
        row = conn.execute(select(table)).one()
    assert b"maria" not in row.address_hash.lower()
    assert "maria" not in " ".join(str(cell) for cell in row).lower()


@pytest.mark.parametrize("spelling", ["Maria@Example.de", " maria@EXAMPLE.DE ", "MARIA@example.de"])
def test_every_spelling_of_an_address_has_one_hash(keyring: Keyring, spelling: str) -> None:
    assert address_hash(keyring, parse_address(spelling)) == address_hash(keyring, MARIA)


def test_the_hash_stays_when_a_new_key_signs_and_needs_the_oldest_key() -> None:
    k1, k2, k3 = (Key(name, name.encode() * 16) for name in ("k1", "k2", "k3"))
    before = address_hash(Keyring((k1,)), MARIA)
    assert address_hash(Keyring((k3, k2, k1)), MARIA) == before
    assert address_hash(Keyring((k1, k2)), MARIA) != before
    assert before != hashlib.sha256(b"maria@example.de").digest()
