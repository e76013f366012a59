"""What we write in. The lowest floor, since letters, pages and the schema all speak of it."""

from enum import StrEnum


class Language(StrEnum):
    """A language for which there are letters, pages and declarations."""

    DE = "de"
    EN = "en"
