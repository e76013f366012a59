"""Links and return-paths: what we made reads back, and nothing else does."""

import base64
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.db.terms import Topic
from dispatcher.domain import tokens
from dispatcher.domain.tokens import Key, Keyring, Link, Purpose
from dispatcher.errors import TokenInvalid

OLD, NEW, OTHER = Key("k1", b"1" * 32), Key("k2", b"2" * 32), Key("x", b"3" * 32)
RING = Keyring((NEW, OLD))
LINKS = st.builds(
    Link,
    public_id=st.binary(min_size=8, max_size=8),
    topic=st.none() | st.sampled_from(Topic),
    campaign_id=st.integers(0, 2**40 - 1),
)
A_LINK = Link(bytes(range(8)), Topic.FINANCE_NEWS, 7)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(LINKS, st.sampled_from(Purpose))
def test_a_token_reads_back_as_the_link_it_was_made_of(link: Link, purpose: Purpose) -> None:
    assert tokens.verify(RING, purpose, tokens.sign(RING, purpose, link)) == link


@given(LINKS, st.sampled_from(Purpose), st.sampled_from(Purpose))
def test_a_token_made_for_one_purpose_is_refused_for_every_other(link: Link, made: Purpose, asked: Purpose) -> None:
    token = tokens.sign(RING, made, link)
    if made is asked:
        tokens.verify(RING, asked, token)
        return
    with pytest.raises(TokenInvalid):
        tokens.verify(RING, asked, token)


@given(LINKS, st.data())
def test_a_token_with_one_altered_character_is_refused(link: Link, data: st.DataObject) -> None:
    token = tokens.sign(RING, Purpose.UNSUBSCRIBE, link)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from(ALPHABET.replace(token[at], "") + "+/=.ä "))
    with pytest.raises(TokenInvalid):
        tokens.verify(RING, Purpose.UNSUBSCRIBE, token[:at] + other + token[at + 1 :])


@given(LINKS, st.data())
def test_a_token_with_one_altered_byte_is_refused(link: Link, data: st.DataObject) -> None:
    token = tokens.sign(RING, Purpose.PREFERENCES, link)
    sealed = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(TokenInvalid):
        tokens.verify(RING, Purpose.PREFERENCES, base64.urlsafe_b64encode(sealed).rstrip(b"=").decode())


def test_a_token_that_is_cut_short_or_lengthened_is_refused() -> None:
    token = tokens.sign(RING, Purpose.UNSUBSCRIBE, A_LINK)
    for wrong in [*(token[:n] for n in range(len(token))), *(token + tail for tail in ("A", "AA", "=", " ", "\n"))]:
        with pytest.raises(TokenInvalid):
            tokens.verify(RING, Purpose.UNSUBSCRIBE, wrong)


@given(st.text(max_size=40))
def test_no_text_that_we_did_not_make_is_a_token_and_none_does_worse_than_be_refused(text: str) -> None:
    with pytest.raises(TokenInvalid):
        tokens.verify(RING, Purpose.UNSUBSCRIBE, text)
    with pytest.raises(TokenInvalid):
        tokens.read_local_part(RING, Purpose.BOUNCE, text)


def test_a_token_of_somebody_elses_key_is_refused() -> None:
    with pytest.raises(TokenInvalid):
        tokens.verify(RING, Purpose.UNSUBSCRIBE, tokens.sign(Keyring((OTHER,)), Purpose.UNSUBSCRIBE, A_LINK))


def test_a_token_of_an_old_key_is_good_after_a_change_of_keys() -> None:
    token = tokens.sign(Keyring((OLD,)), Purpose.UNSUBSCRIBE, A_LINK)
    assert tokens.verify(RING, Purpose.UNSUBSCRIBE, token) == A_LINK
    assert tokens.sign(RING, Purpose.UNSUBSCRIBE, A_LINK) != token


@given(LINKS, st.sampled_from(Purpose))
def test_a_token_is_never_longer_than_32_characters(link: Link, purpose: Purpose) -> None:
    assert 26 <= len(tokens.sign(RING, purpose, link)) <= 32


@pytest.mark.parametrize("campaign_id", [0, 1, 255, 256, 65_535, 65_536, 2**21])
def test_the_unsubscribe_header_stays_on_one_line_for_the_first_two_million_campaigns(campaign_id: int) -> None:
    token = tokens.sign(RING, Purpose.UNSUBSCRIBE, Link(b"\xff" * 8, Topic.SPECIAL_OFFERS, campaign_id))
    assert len(f"List-Unsubscribe: <https://news.example.de/u/{token}>,") < 78  # RFC 5322, 2.1.1


@given(LINKS, st.randoms())
def test_a_return_path_survives_servers_that_fold_its_case(link: Link, random) -> None:
    local = tokens.for_letter(RING, link).bounce_local_part
    folded = "".join(random.choice((ch.lower(), ch.upper())) for ch in local)
    assert tokens.read_local_part(RING, Purpose.BOUNCE, folded) == link


@given(LINKS)
def test_a_return_path_fits_into_the_64_octets_of_a_local_part(link: Link) -> None:
    assert len(tokens.for_letter(RING, link).bounce_local_part) <= 64


def test_a_return_path_of_somebody_elses_key_is_refused() -> None:
    local = tokens.for_letter(Keyring((OTHER,)), A_LINK).bounce_local_part
    with pytest.raises(TokenInvalid):
        tokens.read_local_part(RING, Purpose.BOUNCE, local)


def test_an_unsubscribe_token_is_no_return_path() -> None:
    token = tokens.sign(RING, Purpose.UNSUBSCRIBE, A_LINK)
    sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    with pytest.raises(TokenInvalid):
        tokens.read_local_part(RING, Purpose.BOUNCE, "b+" + sealed.hex())


@given(LINKS)
def test_what_a_letter_bears_differs_from_others_in_letters_digits_and_dashes_only(link: Link) -> None:
    made = tokens.for_letter(RING, link)
    local_parts = (made.bounce_local_part.removeprefix("b+"), made.unsubscribe_local_part.removeprefix("u+"))
    assert set(ALPHABET).issuperset("".join((made.unsubscribe, made.preferences, made.view, made.name, *local_parts)))


@given(LINKS)
def test_what_a_letter_bears_reads_back_as_its_link_each_for_its_own_purpose(link: Link) -> None:
    made = tokens.for_letter(RING, link)
    assert tokens.verify(RING, Purpose.UNSUBSCRIBE, made.unsubscribe) == link
    assert tokens.verify(RING, Purpose.PREFERENCES, made.preferences) == link
    assert tokens.verify(RING, Purpose.VIEW, made.view) == link
    assert tokens.read_local_part(RING, Purpose.BOUNCE, made.bounce_local_part) == link
    assert tokens.read_local_part(RING, Purpose.UNSUBSCRIBE, made.unsubscribe_local_part) == link


def test_the_places_of_the_purposes_do_not_overlap() -> None:
    taken = [*range(50, 64), *(place + i for place in tokens._PLACES.values() for i in range(tokens._MAC))]
    assert len(taken) == len(set(taken))


def test_a_letters_name_is_the_same_at_every_attempt_and_under_new_keys() -> None:
    link = Link(b"12345678", Topic.FINANCE_NEWS, 7)
    first = tokens.for_letter(Keyring((OLD,)), link)
    again = tokens.for_letter(RING, link)
    assert first.name == again.name
    assert first.unsubscribe != again.unsubscribe


def test_a_letters_name_tells_letters_apart_and_names_nobody() -> None:
    links = [Link(bytes((who,)) * 8, Topic.FINANCE_NEWS, of) for of in (1, 11) for who in range(50)]
    names = {tokens.for_letter(RING, link).name for link in links}
    assert len(names) == 100
    assert not any(link.public_id.hex() in name for link in links for name in names)


def test_a_secret_longer_than_the_hash_takes_is_used_whole() -> None:
    long, longer = Key("k", b"1" * 100), Key("k", b"1" * 101)
    assert long.digest(b"x") != longer.digest(b"x")


def test_a_key_shows_its_name_and_not_its_secret() -> None:
    assert repr(Key("k1", b"geheim" * 6)) == "Key('k1')"
    assert "geheim" not in repr(Keyring((Key("k1", b"geheim" * 6),)))


def test_a_fingerprint_tells_keys_apart_whatever_their_names() -> None:
    assert Key("a", b"1" * 32).fingerprint() == OLD.fingerprint() != NEW.fingerprint()


def test_a_confirmation_token_follows_from_key_and_nonce_and_from_nothing_less() -> None:
    token = tokens.opt_in_token(OLD, b"n" * 16)
    assert token == tokens.opt_in_token(OLD, b"n" * 16)
    assert len({token, tokens.opt_in_token(NEW, b"n" * 16), tokens.opt_in_token(OLD, b"m" * 16)}) == 3
    assert len(token) == 22  # 128 bits
    assert len(tokens.token_sha256(token)) == 32


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_keyed_hash_is_that_of_the_standard(secret: bytes, message: bytes) -> None:
    assert Key("k1", secret).hmac_sha256(message) == hmac.digest(secret, message, "sha256")


def test_public_ids_are_random() -> None:
    assert len(set(tokens.new_public_ids(1000))) == 1000
