"""From settings to what the engine works with: keys, relays, and how the house names itself in a letter."""

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, select

from dispatcher.compose.dkim import Signer
from dispatcher.compose.house import House
from dispatcher.db.columns import insert_or
from dispatcher.db.tables import secret_key
from dispatcher.domain import periods
from dispatcher.domain.periods import Rules
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.errors import InputRefused, SettingInvalid
from dispatcher.sending import notice
from dispatcher.sending.press import Stationery
from dispatcher.settings import DkimKey, Settings
from dispatcher.smtp.relays import Relay, parse_relay

if TYPE_CHECKING:
    from dispatcher.compose.dkim_key import SigningKey
    from dispatcher.sending.courier import Satchel
    from dispatcher.sending.preflight.examination import Desk

_OLDEST = "(oldest)"  # no key can be called so: an id holds no parenthesis


def keyring(settings: Settings) -> Keyring:
    """Give the keys, first the one that signs."""
    return Keyring(tuple(Key(key_id, secret) for key_id, secret in settings.secret_keys))


def relays(settings: Settings) -> tuple[Relay, ...]:
    """Give the relays in order of preference. Raises SettingInvalid."""
    try:
        return tuple(parse_relay(url) for url in settings.smtp_urls)
    except InputRefused as error:
        raise SettingInvalid("DISPATCHER_SMTP_URL", error.what, error.cure) from None


def retention(settings: Settings) -> Rules:
    """Give how long each thing is kept. Raises SettingInvalid."""
    try:
        return periods.read(settings.retention)
    except InputRefused as error:
        raise SettingInvalid("DISPATCHER_RETENTION", error.what, error.cure) from None


def remember_keys(conn: Connection, ring: Keyring, now: datetime) -> None:
    """Note which keys are in use. Raises SettingInvalid when one that was in use is gone or was changed.

    Without it links in letters that were sent would die, and without the oldest the never-mail list would be blind.
    """
    known: dict[str, bytes] = dict(conn.execute(select(secret_key.c.id, secret_key.c.fingerprint).limit(1000)).all())
    oldest = known.pop(_OLDEST, None)
    ours = {key.id: key.fingerprint() for key in ring.keys}
    for key_id, fingerprint in known.items():
        if ours.get(key_id) != bytes(fingerprint):
            raise SettingInvalid(
                "DISPATCHER_SECRET_KEYS",
                f"the key {key_id!r} that this database was used with is {'other' if key_id in ours else 'missing'}",
                "put it back; new keys go in front of the old ones, and none is ever taken away",
            )
    if oldest is not None and bytes(oldest) != ring.oldest.fingerprint():
        raise SettingInvalid(
            "DISPATCHER_SECRET_KEYS",
            f"the key {ring.oldest.id!r} stands last, where the oldest must stay",
            "put new keys in front and keep the order of the others",
        )
    used = {**ours, _OLDEST: ring.oldest.fingerprint()}
    rows = [{"id": key_id, "fingerprint": f, "first_seen": now} for key_id, f in used.items()]
    conn.execute(insert_or(conn.dialect.name, secret_key).on_conflict_do_nothing(), rows)


def signer(settings: Settings) -> Signer | None:
    """Give what signs our letters; None: the relay has to. Key files are read once a process. Raises SettingInvalid."""
    return _signer(settings.dkim) if settings.dkim else None


def stationery(settings: Settings, *, signs: bool = True) -> Stationery:
    """Give what all letters of a process share. One that only shows letters (`signs` False) needs no DKIM keys."""
    return Stationery(
        keyring=keyring(settings),
        public_url=settings.public_url,
        bounce_domain=settings.bounce_domain,
        sender_domain=settings.sender_address.rpartition("@")[2],
        signer=signer(settings) if signs else None,
        notices=notice.hashes(settings),
    )


def desk(settings: Settings, *, needs_keys: bool = True) -> "Desk":
    """Give what a campaign is looked over with before it goes. The pages' process may lack the DKIM keys, which workers
    alone have to read (`needs_keys` False): then that is a finding. Raises SettingInvalid.
    """
    from dispatcher.outgoing import Passport
    from dispatcher.sending.preflight.examination import Desk  # what freezes letters weighs 5 MB

    try:
        papers, keys_elsewhere = stationery(settings), False
    except SettingInvalid:
        if needs_keys:
            raise
        papers, keys_elsewhere = stationery(settings, signs=False), True
    return Desk(
        stationery=papers,
        keys_elsewhere=keys_elsewhere,
        house=house(settings),
        passport=Passport(settings.internal_hosts),
        resolver=settings.mx_lookup,
        spam_check=settings.spam_check,
        caniemail=settings.caniemail,
        four_eyes=settings.four_eyes,
    )


def satchel(settings: Settings, engine: Engine) -> "Satchel":
    """Give what messages go out to the endpoints of webhooks with."""
    from dispatcher.outgoing import Passport
    from dispatcher.sending.courier import Satchel  # a process that tells nobody anything carries no HTTP along

    return Satchel(engine, keyring(settings), Passport(settings.internal_hosts))


def house(settings: Settings) -> House:
    """Give how the house names itself in letters."""
    domain = settings.sender_address.rpartition("@")[2]
    return House(
        name=settings.sender_name,
        sender_name=settings.sender_name,
        sender_address=settings.sender_address,
        public_url=settings.public_url,
        feedback_sender_id=domain.replace(".", "-"),
        list_id_domain=domain,
        impressum=settings.impressum,
        imprint_url=f"{settings.public_url}/impressum",
        privacy_url=f"{settings.public_url}/privacy",
    )


@cache
def _signer(keys: tuple[DkimKey, ...]) -> Signer:
    return Signer([_signing_key(key) for key in keys])


def _signing_key(key: DkimKey) -> "SigningKey":
    from dispatcher.compose.dkim_key import SigningKey, read_pem  # only whoever signs carries cryptography along

    name = "DISPATCHER_DKIM"
    try:
        return SigningKey(key.selector, key.domain, read_pem(key.file.read_bytes()))
    except OSError as error:
        what = f"{key.file} cannot be read: {error.strerror}"
        raise SettingInvalid(name, what, "check path and rights; the workers' user must be able to read it") from None
    except InputRefused as error:
        raise SettingInvalid(name, f"{key.file}: {error.what}", error.cure) from None
