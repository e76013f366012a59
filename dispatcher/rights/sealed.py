"""Sealed files: a document and, behind it, the Ed25519 signature over every octet of it.

    <!DOCTYPE html> ... </html>                                      the document: what is read, and its data as JSON
    <!-- dispatcher seal 1 / key BASE64 / signature HEX -->          the seal, the last octets of the file

    {"dossier":{...},"seal":{"key":"...","signature":"..."}}         the data alone, as one canonical piece of JSON

Signed is the name of the format and the SHA-256 of what the seal stands behind. What must stay true: no octet of a file
can be changed, added or taken away without `check` saying so, those of the seal included: it has one form only.
Checking needs the file and nothing else; whose key it is, only a key that is known beforehand can tell.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from dispatcher.domain.proof import seal
from dispatcher.domain.proof.seal import Seal
from dispatcher.errors import InputRefused
from dispatcher.rights.records import canonical

_HTML, _JSON = b"dispatcher sealed html 1\n", b"dispatcher sealed json 1\n"
_BLOCK = re.compile(
    rb"\n<!-- dispatcher seal 1\nkey ([A-Za-z0-9+/=]{20,200})\nsignature ([0-9a-f]{128})\n-->\n", re.ASCII
)
_START = b"\n<!-- dispatcher seal 1\n"
_NOT_ONE = "name a file that `dispatcher consent dossier` made"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found. `problem` is None if the file is as it was signed; `pem` and `key_id` name the key in it."""

    problem: str | None
    pem: str
    key_id: str


def seal_html(document: bytes, by: Seal) -> bytes:
    """Put the seal behind a document."""
    return document + _block(by.public_pem, by.sign(_HTML + sha256(document).digest()))


def seal_json(facts: dict[str, Any], by: Seal) -> bytes:
    """Give facts and their seal as one piece of canonical JSON."""
    signature = by.sign(_JSON + sha256(canonical(facts)).digest())
    return _json(facts, by.public_pem, signature)


def check(octets: bytes) -> Checked:
    """Check a sealed file of either kind. Raises InputRefused for what is none."""
    return _check_json(octets) if octets.startswith(b"{") else _check_html(octets)


def _check_html(octets: bytes) -> Checked:
    document, mark, _ = octets.rpartition(_START)
    if not mark:
        raise InputRefused("this file bears no seal: it is no dossier, or its end was cut off", _NOT_ONE)
    found = _BLOCK.fullmatch(octets, len(document))
    if found is None:
        return Checked("the seal at its end was changed, or something was added behind it", "", "")
    signature = bytes.fromhex(found[2].decode())
    pem, key_id = _key(found[1].decode())
    if pem is None or _block(pem, signature) != found[0]:
        return Checked("the key in its seal was changed", "", "")
    return _checked(pem, key_id, _HTML + sha256(document).digest(), signature)


def _check_json(octets: bytes) -> Checked:
    try:
        read = json.loads(octets)
        facts, key, signed = read["dossier"], read["seal"]["key"], read["seal"]["signature"]
        signature, data = bytes.fromhex(signed), _JSON + sha256(canonical(facts)).digest()
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputRefused("this file is no sealed JSON, or it was damaged", _NOT_ONE) from None
    pem, key_id = _key(str(key))
    if pem is None:
        return Checked("the key in its seal was changed", "", "")
    if _json(facts, pem, signature) != octets:
        return Checked("it is written in another way than it was signed in", pem, key_id)
    return _checked(pem, key_id, data, signature)


def _checked(pem: str, key_id: str, data: bytes, signature: bytes) -> Checked:
    good = seal.verify(pem, data, signature)
    return Checked(None if good else "its content, its key or its signature was changed after signing", pem, key_id)


def _block(pem: str, signature: bytes) -> bytes:
    return _START + f"key {_base64(pem)}\nsignature {signature.hex()}\n-->\n".encode()


def _json(facts: Any, pem: str, signature: bytes) -> bytes:
    return canonical({"dossier": facts, "seal": {"key": _base64(pem), "signature": signature.hex()}}) + b"\n"


def _base64(pem: str) -> str:
    """Give a key in PEM without its first and last line, in one line."""
    return "".join(pem.strip().splitlines()[1:-1])


def _key(text: str) -> tuple[str | None, str]:
    """Give the key in PEM and its short name; None for what is no key."""
    try:
        der = base64.b64decode(text, validate=True)
        pem = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(der).decode()}\n-----END PUBLIC KEY-----\n"
        return pem, seal.key_id(pem)
    except (binascii.Error, InputRefused, ValueError):
        return None, ""
