"""How far the files of endings are in the database: part of the schema, beside tables.py."""

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text

from dispatcher.db.columns import Id, Utc
from dispatcher.db.metadata import metadata

# Each file of endings that was ever written for this database, and up to which octet everything in it stands here too;
# moved in the transaction whose lines it covers. A file that reaches further tells of what this database has lost.
ending_file = Table(
    "ending_file",
    metadata,
    Column("id", LargeBinary(16), primary_key=True),  # as its first line says
    Column("place", Text, nullable=False),  # machine and path where it was begun
    Column("octets", BigInteger, nullable=False),
    Column("home", Text),  # where this database stood then (ending_marks.home); if elsewhere now, it is a copy
    # PostgreSQL: the transaction that wrote this row. The server keeps its number beside each row (xmin), and rows that
    # are read in from a backup get another: if the two differ, this is a copy, be it in the very same place.
    Column("written_by", BigInteger),
    Column("lost_at", Utc),  # an operator said that it is gone for good
)

# Lines that could not be written to their file (a full disk) and follow when they can: nobody is refused for it.
ending_owed = Table(
    "ending_owed",
    metadata,
    Column("id", Id, primary_key=True),
    Column("line", Text, nullable=False),
)
