"""The limits of the sign-up form: flooding somebody's inbox stops early, and honest people get through."""

from datetime import timedelta

import pytest

from dispatcher.web.limits import LIMITS, Bucket
from tests.web.visitor import House, heading, text_of


def fill(house: House, bucket: Bucket, age: timedelta, missing: int = 0) -> None:
    """Sign up once, then make it look as if the limit had been reached `age` ago, but for `missing` attempts."""
    house.visitor().post("/", data=house.form())
    (row,) = [r for r in house.rows("signup_attempt") if r.bucket == bucket]
    copy = {"at": house.now() - age, "bucket": bucket, "bucket_hash": row.bucket_hash}
    before = LIMITS[bucket].most - 1 - missing
    house.insert("signup_attempt", [{**copy, "number": row.number - 1 - n} for n in range(before)])


def requests(house: House) -> int:
    return len(house.rows("opt_in_request"))


@pytest.mark.parametrize(
    ("bucket", "ip"), [(Bucket.IP, "192.0.2.7"), (Bucket.TOTAL, "198.51.100.1"), (Bucket.TOTAL, "2001:db8::1")]
)
def test_too_many_from_one_place_or_in_total_are_refused_with_the_time_to_wait(
    house: House, bucket: Bucket, ip: str
) -> None:
    fill(house, bucket, age=timedelta(minutes=20))
    before = house.everything()
    page = house.visitor(ip).post("/", data=house.form(address="else@example.com"))
    assert page.status_code == 429
    assert heading(page) == "Bitte etwas später"
    assert "In 40 Minuten geht es wieder." in text_of(page)
    assert 2300 < int(page.headers["retry-after"]) <= 2401
    assert house.everything() == before


@pytest.mark.parametrize("bucket", [Bucket.ADDRESS, Bucket.DOMAIN])
def test_too_many_for_one_address_or_domain_get_the_usual_answer_and_no_mail(
    house: House, bucket: Bucket, nudged: list[int]
) -> None:
    fill(house, bucket, age=timedelta(minutes=20))
    usual = house.visitor("198.51.100.1").post("/", data=house.form(address="other@example.com"))
    before = requests(house)
    for address in ("maria@example.de", "MARIA@example.de"):
        answer = house.visitor("198.51.100.1").post("/", data=house.form(address=address, topic=["product-news"]))
        assert answer.content == usual.content
    assert requests(house) == before
    assert len(nudged) == before


def test_the_limit_of_a_domain_holds_for_its_other_addresses_and_not_for_other_domains(house: House) -> None:
    fill(house, Bucket.DOMAIN, age=timedelta(minutes=20))
    house.visitor("198.51.100.1").post("/", data=house.form(address="paul@EXAMPLE.de"))
    assert requests(house) == 1
    house.visitor("198.51.100.1").post("/", data=house.form(address="paul@example.com"))
    assert requests(house) == 2


@pytest.mark.both_databases
@pytest.mark.parametrize("bucket", list(Bucket))
def test_the_last_attempt_within_a_limit_goes_through(house: House, bucket: Bucket) -> None:
    fill(house, bucket, age=timedelta(minutes=20), missing=1)
    page = house.visitor().post("/", data=house.form(topic=["product-news"]))
    assert page.status_code == 200
    assert requests(house) == 2


@pytest.mark.both_databases
@pytest.mark.parametrize("bucket", list(Bucket))
def test_attempts_are_forgotten_when_their_time_is_over(house: House, bucket: Bucket) -> None:
    fill(house, bucket, age=LIMITS[bucket].within + timedelta(seconds=1))
    page = house.visitor().post("/", data=house.form(topic=["product-news"]))
    assert page.status_code == 200
    assert requests(house) == 2


def test_one_household_in_ipv6_is_one_place_and_its_neighbour_another(house: House) -> None:
    house.visitor("2001:db8:1:2::1").post("/", data=house.form())
    (first,) = [r for r in house.rows("signup_attempt") if r.bucket == "ip"]
    house.visitor("2001:db8:1:2:ffff::9").post("/", data=house.form(address="a@example.com"))
    house.visitor("2001:db8:1:3::1").post("/", data=house.form(address="b@example.com"))
    hashes = [bytes(r.bucket_hash) for r in house.rows("signup_attempt") if r.bucket == "ip"]
    assert hashes[0] == hashes[1] == bytes(first.bucket_hash)
    assert hashes[2] != hashes[0]


def test_what_is_refused_is_not_counted_so_that_the_table_cannot_be_filled(house: House) -> None:
    fill(house, Bucket.IP, age=timedelta(minutes=1))
    before = len(house.rows("signup_attempt"))
    for number in range(5):
        house.visitor().post("/", data=house.form(address=f"p{number}@example.com"))
    assert len(house.rows("signup_attempt")) == before


def test_no_address_and_no_ip_can_be_read_from_the_table(house: House) -> None:
    house.visitor().post("/", data=house.form())
    kept = repr(house.rows("signup_attempt"))
    assert "maria" not in kept
    assert "192.0.2" not in kept
