"""What a story of lives knows by itself, to hold the database against: people, their mail, which words are needed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from dispatcher.db.terms import Topic

MAILBOXES = ("maria@example.de", "tom@example.com", "jörg@büro.example.de", "paula@example.org")


@dataclass
class Link:
    """A confirmation link in somebody's mailbox."""

    box: str
    topics: list[Topic]
    token: str
    until: datetime
    words: int
    is_used: bool = False
    is_dead: bool = False


@dataclass
class Known:
    """What the owner of a mailbox said last, and what forbids mailing it for good. By topic; `words`: in which."""

    agreed: dict[Topic, bool] = field(default_factory=dict)
    words: dict[Topic, int] = field(default_factory=dict)
    is_barred: bool = False
    is_restricted: bool = False
    pause_ends: datetime | None = None


@dataclass
class World:
    """All that the test knows of people, their mail and the words: it goes back with the database."""

    known: dict[str, Known] = field(default_factory=lambda: {box: Known() for box in MAILBOXES})
    links: list[Link] = field(default_factory=list)
    words: int = 0
    needed: dict[Topic, int] = field(default_factory=dict)

    def end(self, box: str, topics: Iterable[Topic], *, kills: bool = False) -> None:
        """Somebody left these topics; `kills`: and no link that waits in the mailbox is good any more."""
        self.known[box].agreed |= dict.fromkeys(topics, False)
        for link in self.links:
            link.is_dead |= kills and link.box == box and bool(set(link.topics) & set(topics))

    def erase(self, box: str) -> None:
        self.end(box, Topic, kills=True)
        self.known[box].pause_ends, self.known[box].is_restricted = None, False

    def bar(self, box: str) -> None:
        self.known[box].is_barred = True

    def restrict(self, box: str) -> None:
        self.known[box].is_restricted = True
