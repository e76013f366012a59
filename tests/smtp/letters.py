"""Letters for the tests of a lane."""

from typing import Any

from dispatcher.smtp.lane import Parcel


def letter(recipient: str = "anna@example.de", size: int = 0, **fields: Any) -> Parcel:
    """Make a letter whose Message-ID tells its recipient; `size` fills it up to about so many octets."""
    local, _, domain = recipient.partition("@")
    head = (
        f"From: Beispiel Edelmetalle GmbH <news@news.example.de>\r\nTo: <{recipient}>\r\n"
        f"Message-ID: <{local}.at.{domain}@news.example.de>\r\nSubject: Hallo\r\n\r\n"
    ).encode()
    line = b"Der Goldpreis stieg um 1,2 Prozent; Anleger sind ruhig.\r\n"
    body = fields.pop("body", head + line * max(1, (size - len(head)) // len(line)))
    return Parcel(
        **{"sender": "b+1.mac@bounce.example.de", "recipient": recipient, "pieces": [body.decode()], **fields}
    )
