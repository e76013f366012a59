"""What a lane carries, and the commands that announce it.

What must stay true
- No octet from outside can end a command line: a Parcel with CR, LF, NUL, space or an angle bracket in an address
  cannot be made at all.
- A parameter is used only where this connection's EHLO offers its extension (RFC 5321 2.2.1).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dispatcher.errors import InputRefused
from dispatcher.smtp.reply import Reply
from dispatcher.smtp.verdict import Refused

_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f<>\u0080-\u00a0\u2028\u2029\ud800-\udfff]")
# A recipient and an ENVID, which are xtext as they stand, and a sender: neither address can be refused for anything.
_PLAIN: Final = re.compile(r"[!-*,-;?-~]{1,254}\n[!-;=?-~]{0,254}")
_NOT_XTEXT: Final = re.compile(r"[^!-*,-<>-~]")
_LONGEST_PATH: Final = 254  # 256 octets with the brackets (RFC 5321 4.5.3.1.3)
_LONGEST_ENVID: Final = 100  # RFC 3461 4.4
_LEAST_SIZE: Final = 64 * 1024

DATA: Final = "DATA\r\n"
DOT: Final = ".\r\n"  # a body ends in CRLF, so this completes CRLF.CRLF
RESET: Final = "RSET\r\n"


@dataclass(slots=True, init=False)  # its making is written out: a letter makes one (see "Compiled" in ARCHITECTURE.md)
class Parcel:
    """One letter for one recipient.

    `pieces`, one behind the other, are its body: what goes over the wire between 354 and the dot, `size` octets long.
    It is put together when it is written, because letters wait by the hundred. CRLF lines, none of which begins with a
    dot, the last one ended; in ASCII, unless the letter needs SMTPUTF8. The composer stuffs dots, once per edition;
    here only both ends are looked at, because a search through every body costs a third of all the CPU that a letter
    may cost.
    """

    sender: str
    recipient: str
    pieces: list[str]
    needs_smtputf8: bool
    envelope_id: str
    size: int
    is_plain: bool  # recipient and ENVID are xtext as they stand

    def __init__(
        self,
        sender: str,
        recipient: str,
        pieces: list[str],
        *,
        needs_smtputf8: bool = False,
        envelope_id: str = "",
    ) -> None:
        # One look at all three: nearly always there is nothing to be found.
        self.is_plain = recipient != "" and _PLAIN.fullmatch(f"{recipient}{envelope_id}\n{sender}") is not None
        if not self.is_plain:
            _check_path(recipient, sender, needs_smtputf8=needs_smtputf8)
        if not pieces or pieces[0][:1] in ("", ".") or not pieces[-1].endswith("\r\n"):
            raise InputRefused("a letter's body must end in CRLF and must not begin with a bare dot")
        self.sender = sender
        self.recipient = recipient
        self.pieces = pieces
        self.needs_smtputf8 = needs_smtputf8
        self.envelope_id = envelope_id
        self.size = len(self.octets()) if needs_smtputf8 else sum(len(piece) for piece in pieces)

    def octets(self) -> bytes:
        """Put the body together, the same at each call."""
        return "".join(self.pieces).encode()


def _check_path(recipient: str, sender: str, *, needs_smtputf8: bool) -> None:
    both = recipient + sender
    if not recipient or _FORBIDDEN.search(both):
        raise InputRefused("an envelope address is empty or holds a control character, a space, < or >")
    if not needs_smtputf8 and not both.isascii():
        raise InputRefused("an envelope address with letters beyond ASCII needs SMTPUTF8 (RFC 6531)")
    if max(len(recipient.encode()), len(sender.encode())) > _LONGEST_PATH:
        raise InputRefused(f"an envelope address is longer than {_LONGEST_PATH} octets (RFC 5321 4.5.3.1.3)")


@dataclass(frozen=True, slots=True)
class Offers:
    """What the relay's EHLO offers. `size` 0: no limit named (RFC 1870 section 4)."""

    pipelining: bool = False
    dsn: bool = False
    smtputf8: bool = False
    eight_bit: bool = False
    starttls: bool = False
    has_size: bool = False
    size: int = 0
    log_ins: frozenset[str] = frozenset()


def read_offers(lines: Iterable[str]) -> Offers:
    """Read the lines of an EHLO reply behind the first. Unknown keywords are passed over (RFC 5321 4.1.1.1)."""
    words: dict[str, list[str]] = {}
    for line in lines:
        # "AUTH=LOGIN" is an old server's spelling of "AUTH LOGIN".
        keyword, *values = line.upper().replace("AUTH=", "AUTH ", 1).split() or [""]
        words.setdefault(keyword, []).extend(values)
    limit = next(iter(words.get("SIZE", ())), "0")
    return Offers(
        pipelining="PIPELINING" in words,
        dsn="DSN" in words,
        smtputf8="SMTPUTF8" in words,
        eight_bit="8BITMIME" in words,
        starttls="STARTTLS" in words,
        has_size="SIZE" in words,
        size=_size(limit),
        log_ins=frozenset(words.get("AUTH", ())),
    )


def _size(limit: str) -> int:
    """Read a SIZE. One below 64 KiB, which every server must take, would fail an audience for a slip of the pen: it is
    left to the relay to refuse the letter (RFC 5321 4.5.3.1.7).
    """
    size = int(limit) if limit.isascii() and limit.isdigit() and len(limit) <= 20 else 0
    return size if size >= _LEAST_SIZE else 0


def unfit(parcel: Parcel, offers: Offers, relay: str) -> Refused | None:
    """Give the refusal that this relay would be bound to give, before a byte of the letter is sent; None: it fits."""
    if parcel.needs_smtputf8 and not offers.smtputf8:
        text = f"not sent: relay {relay} offers no SMTPUTF8 (RFC 6531), which this address needs"
        return Refused(Reply(550, "5.6.7", text))
    if offers.size and parcel.size > offers.size:
        text = f"not sent: the letter has {parcel.size} octets, relay {relay} takes {offers.size} (RFC 1870)"
        return Refused(Reply(552, "5.3.4", text))
    return None


def commands(parcel: Parcel, offers: Offers) -> tuple[str, str]:
    """Give the MAIL and the RCPT line."""
    size = f" SIZE={parcel.size}" if offers.has_size else ""
    utf8 = ""
    if parcel.needs_smtputf8:
        utf8 = " BODY=8BITMIME SMTPUTF8" if offers.eight_bit else " SMTPUTF8"
    of_mail, of_rcpt = _for_notices(parcel) if offers.dsn else ("", "")
    return f"MAIL FROM:<{parcel.sender}>{size}{utf8}{of_mail}\r\n", f"RCPT TO:<{parcel.recipient}>{of_rcpt}\r\n"


def _for_notices(parcel: Parcel) -> tuple[str, str]:
    """Give what asks for notices of delivery (RFC 3461), for either line."""
    envid, whom = parcel.envelope_id, parcel.recipient
    if not parcel.is_plain:
        # Beyond ASCII the address type would be utf-8 (RFC 6533); ORCPT is optional.
        envid, whom = xtext(envid), xtext(whom) if whom.isascii() else ""
    of_mail = " RET=HDRS ENVID=" + envid if 0 < len(envid) <= _LONGEST_ENVID else " RET=HDRS"
    return of_mail, " NOTIFY=FAILURE,DELAY ORCPT=rfc822;" + whom if whom else " NOTIFY=FAILURE,DELAY"


def xtext(text: str) -> str:
    """Write `text` as xtext (RFC 3461 section 4): what is not printable ASCII, + and = become +XX."""
    if _NOT_XTEXT.search(text) is None:
        return text
    return _NOT_XTEXT.sub(lambda found: "".join(f"+{octet:02X}" for octet in found[0].encode()), text)
