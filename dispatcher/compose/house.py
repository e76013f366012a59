"""The sender of the letters: what every one of them says about who wrote it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The company. `impressum` is Markdown; an empty URL leaves its link away.

    `sender_name <sender_address>` is From; `feedback_sender_id` closes Feedback-ID, by which Gmail's Postmaster
    Tools tell senders apart; `list_id_domain` closes List-Id.
    """

    name: str
    sender_name: str
    sender_address: str
    public_url: str
    feedback_sender_id: str
    list_id_domain: str
    impressum: str
    imprint_url: str = ""
    privacy_url: str = ""
