"""What a letter must be told about its one recipient."""

import datetime
from dataclasses import dataclass


@dataclass(slots=True, init=False)  # its making is written out: a letter makes one (see "Compiled" in ARCHITECTURE.md)
class Fields:
    """One recipient. `address` is local@domain with the domain as A-label; `name` may be "".

    `message_id` comes without angle brackets, `unsubscribe_mailto` without a scheme, `date` as in RFC 5322. The
    links and `consented_on` belong to newsletters; `confirm_url`, `requested_at` (in words) and `requested_topics`
    (topic codes with blanks between) to letters around consent. `consented_on` None: no one to send to, a preview.
    `is_usual`: whoever made this has seen that addresses and links of ours are as usual (`letter.are_usual`).
    """

    address: str
    message_id: str
    envelope_sender: str
    date: str
    name: str
    unsubscribe_url: str
    unsubscribe_mailto: str
    preferences_url: str
    view_url: str
    consented_on: datetime.date | None
    confirm_url: str
    requested_at: str
    requested_topics: str
    is_usual: bool

    def __init__(  # noqa: PLR0913  (all that a letter must be told)
        self,
        *,
        address: str,
        message_id: str,
        envelope_sender: str,
        date: str,
        name: str = "",
        unsubscribe_url: str = "",
        unsubscribe_mailto: str = "",
        preferences_url: str = "",
        view_url: str = "",
        consented_on: datetime.date | None = None,
        confirm_url: str = "",
        requested_at: str = "",
        requested_topics: str = "",
        is_usual: bool = False,
    ) -> None:
        self.address = address
        self.message_id = message_id
        self.envelope_sender = envelope_sender
        self.date = date
        self.name = name
        self.unsubscribe_url = unsubscribe_url
        self.unsubscribe_mailto = unsubscribe_mailto
        self.preferences_url = preferences_url
        self.view_url = view_url
        self.consented_on = consented_on
        self.confirm_url = confirm_url
        self.requested_at = requested_at
        self.requested_topics = requested_topics
        self.is_usual = is_usual
