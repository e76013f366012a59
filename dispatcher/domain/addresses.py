"""E-mail addresses: parse, normalise, compare. email-validator lives here only, and is loaded by who reads addresses.

Two spellings are one address when the owner's provider treats them as one everywhere: the domain in any case and as
U- or A-labels, the local part in any case. Dots and plus-parts are kept: only some providers fold them.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache

from dispatcher.errors import AddressInvalid


@dataclass(frozen=True, slots=True)
class Address:
    """An address that can be mailed. `mail` goes on the wire, `canonical` is compared."""

    mail: str  # local part as given (NFC), domain in lower-case A-labels (IDNA 2008)
    canonical: str  # mail, case-folded

    @property
    def domain(self) -> str:
        """Give the domain in A-labels."""
        return self.mail.rpartition("@")[2]

    def __str__(self) -> str:
        return self.mail


def parse_address(text: str) -> Address:
    """Read an address as a person types it. Raises AddressInvalid with what is wrong with it."""
    return _plain(text.strip()) or _by_the_library(text)


# What nearly every address looks like: a dot-atom (RFC 5322, 3.2.3) of at most 64 octets, a domain without A-labels
# that is not so long that the length of both matters. Of these the library is asked about each domain once; about all
# others, each time.
_PLAIN = re.compile(
    r"([A-Za-z0-9_!#$%&'*+\-/=?^`{|}~]+(?:\.[A-Za-z0-9_!#$%&'*+\-/=?^`{|}~]+)*)@([A-Za-z0-9.\-]{1,150}|[\w.\-]{1,30})"
)
_LONGEST_LOCAL = 64  # octets (RFC 5321, 4.5.3.1.1)


def _plain(text: str) -> Address | None:
    """Read an address of the usual kind; None for any other, good or bad."""
    found = _PLAIN.fullmatch(text)
    if found is None:
        return None
    local, domain = found.groups()
    if len(local) > _LONGEST_LOCAL or (known := _domain(domain)) is None:
        return None
    if local.lower() in _any_case():
        local = local.lower()
    mail = f"{local}@{known}"
    return Address(mail, mail.lower())


@cache
def _any_case() -> frozenset[str]:
    """Give the local parts that are the same in any case (RFC 2142): info, postmaster, ..."""
    from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES

    return frozenset(CASE_INSENSITIVE_MAILBOX_NAMES)


@lru_cache(maxsize=16_384)
def _domain(domain: str) -> str | None:
    """Give a domain as the library writes it; None for one that it refuses or that takes more than a look at ASCII."""
    if "xn--" in domain.lower():
        return None
    try:
        return _by_the_library(f"a@{domain}").domain
    except AddressInvalid:
        return None


def _by_the_library(text: str) -> Address:
    from email_validator import EmailNotValidError, validate_email

    try:
        # strict: a local part has at most 64 octets (RFC 5321, 4.5.3.1.1)
        valid = validate_email(text.strip(), check_deliverability=False, allow_smtputf8=True, strict=True)
    except EmailNotValidError as error:
        raise AddressInvalid(str(error), "check the spelling; it should look like name@example.de") from None
    local = unicodedata.normalize("NFC", valid.local_part)
    mail = f"{local}@{valid.ascii_domain.lower()}"
    return Address(mail=mail, canonical=mail.casefold())


def readable(mail: str) -> str:
    """Give an address as people write it: its domain in U-labels."""
    local, _, domain = mail.rpartition("@")
    labels = (label.removeprefix("xn--").encode() if label.startswith("xn--") else label for label in domain.split("."))
    return f"{local}@{'.'.join(label if isinstance(label, str) else label.decode('punycode') for label in labels)}"


def spellings(mail: str) -> tuple[str, ...]:
    """Give the ways in which others may write this address, in lower case: the domain in A- and in U-labels, and both
    Unicode forms of what is not ASCII (NFC, NFD).
    """
    forms = (unicodedata.normalize(form, one) for one in (mail, readable(mail)) for form in ("NFC", "NFD"))
    return tuple(dict.fromkeys(form.lower() for form in forms))


def without(mail: str, text: str) -> str:
    """Give the text with this address, in any of its spellings, replaced by `<recipient>`; so, too, where a return-path
    holds it (`bounce+maria=example.de@...`). An address of which it is a part stays: `anna@`, `@example.dev`.
    """
    if "@" not in text:
        return text
    return _mentions(mail).sub("<recipient>", text)


@lru_cache(maxsize=256)
def _mentions(mail: str) -> re.Pattern[str]:
    forms = spellings(mail)
    plain = "|".join(map(re.escape, forms))
    in_paths = "|".join(re.escape("=".join(form.rsplit("@", 1))) for form in forms)
    # No local part, and no domain, goes on over its end: with a letter, or with a dot or hyphen and a letter.
    own = rf"(?<![\w])(?<!\w[.+-])(?:{plain})(?![\w]|[.-]\w)"
    return re.compile(rf"<?{own}>?|(?<!\w)(?<!\w\.)(?:{in_paths})(?=@)", re.IGNORECASE)


def without_name(name: str, text: str) -> str:
    """Give the text with this name, where it stands as words of its own, replaced by `<name>`."""
    if len(name) <= _NO_NAME or name.casefold() not in text.casefold():
        return text
    return re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<name>", text, flags=re.IGNORECASE)


_NO_NAME = 2  # letters: too short to be told from the words around it


def masked(mail: str) -> str:
    """Give the address so that its owner knows it and nobody else learns it: `j***@example.de`."""
    local, _, domain = mail.rpartition("@")
    return f"{local[:1]}***@{domain}"
