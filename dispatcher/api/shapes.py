"""The shapes that several routes share. What must stay true: no text that comes in holds a character that the database
or a header line would stumble over; whatever is listed is listed in pages.
"""

import base64
import binascii
import json
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    StringConstraints,
    WithJsonSchema,
)

from dispatcher.db.terms import Language, SubscriptionState, SuppressionReason, Topic
from dispatcher.errors import InputRefused

MOST_ITEMS = 1000
_LARGEST_ID = 2**63 - 1

Line = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
MaybeLine = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Typed = Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f\x7f]*$")]
Source = Annotated[str, StringConstraints(min_length=1, max_length=400_000, pattern=r"^[^\x00]*$")]
PublicId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Moment = AwareDatetime
Ip = Annotated[IPvAnyAddress, WithJsonSchema({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]})]


def _distinct(topics: tuple[Topic, ...]) -> tuple[Topic, ...]:
    return tuple(dict.fromkeys(topics))


Topics = Annotated[tuple[Topic, ...], Field(min_length=1, max_length=len(Topic)), AfterValidator(_distinct)]

CampaignId = Annotated[int, Path(ge=1, le=_LARGEST_ID, description="The number of a newsletter.")]
EndpointId = Annotated[int, Path(ge=1, le=_LARGEST_ID, description="The number of an endpoint.")]
FeedId = Annotated[int, Path(ge=1, le=_LARGEST_ID, description="The number of a feed.")]
SubscriberId = Annotated[
    str, Path(pattern=r"^[0-9a-f]{16}$", description="The public id of a person; an address stands in no path.")
]
Cursor = Annotated[
    str | None, Query(max_length=200, description="Where to go on: `next` of the page before. Without it, the first.")
]
Limit = Annotated[int, Query(ge=1, le=MOST_ITEMS, description="How many at most.")]


class Said(BaseModel):
    """What a request says: nothing that is not described is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Told(BaseModel):
    """What an answer tells."""

    model_config = ConfigDict(from_attributes=True)


class SuppressionTold(Told):
    """An entry of the never-mail list."""

    scope: str = Field(description="A topic, or `all`.")
    reason: SuppressionReason
    source: str
    at: Moment


class TopicTold(Told):
    """Where a person stands with a topic."""

    topic: Topic
    state: SubscriptionState
    since: Moment
    declaration: str | None = Field(description="The words that the consent rests on, as they are known here.")


class PersonTold(Told):
    """A person, and where they stand."""

    id: PublicId
    address: str | None = Field(description="null: erased, or gone with the last consent.")
    name: str
    language: Language
    topics: list[TopicTold]


def encode(kind: str, *place: int | str) -> str:
    """Make the cursor of a list. It says where a page ended, and nothing that its reader did not see."""
    return base64.urlsafe_b64encode(json.dumps([kind, *place], separators=(",", ":")).encode()).rstrip(b"=").decode()


def decode(kind: str, cursor: str | None, *types: type) -> list[Any] | None:
    """Read a cursor of this list back; None: none was given. Raises InputRefused for any other."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        read = json.loads(text)
    except (ValueError, binascii.Error, RecursionError):
        read = None
    if not isinstance(read, list) or [kind, *types] != [*read[:1], *map(type, read[1:])]:
        raise InputRefused("this cursor is not one of this list", "send `next` of its page before, as it is, or none")
    if any(isinstance(step, int) and not 0 <= step <= _LARGEST_ID for step in read[1:]):
        raise InputRefused("this cursor is not one of this list", "send `next` of its page before, as it is, or none")
    return read[1:]
