"""E-mail addresses: parse, normalise, compare. email-validator lives here only.

Two spellings are one address when the owner's provider treats them as one everywhere: the domain in any case and as
U- or A-labels, the local part in any case. Dots and plus-parts are kept: only some providers fold them.
"""

import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

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
    try:
        # strict: a local part has at most 64 octets (RFC 5321, 4.5.3.1.1)
        valid = validate_email(text.strip(), check_deliverability=False, allow_smtputf8=True, strict=True)
    except EmailNotValidError as error:
        raise AddressInvalid(str(error), "check the spelling; it should look like name@example.de") from None
    local = unicodedata.normalize("NFC", valid.local_part)
    mail = f"{local}@{valid.ascii_domain.lower()}"
    return Address(mail=mail, canonical=mail.casefold())


def masked(mail: str) -> str:
    """Give the address so that its owner knows it and nobody else learns it: `j***@example.de`."""
    local, _, domain = mail.rpartition("@")
    return f"{local[:1]}***@{domain}"
