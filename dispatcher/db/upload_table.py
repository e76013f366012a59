"""Files that staff and programs handed in, to be taken in: part of the schema, beside tables.py."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, text

from dispatcher.db.columns import Id, Json, Utc, one_of
from dispatcher.db.metadata import metadata
from dispatcher.db.terms import UploadKind, UploadState

# A file that was handed in: what it is, how it is to be read, where it stands, and who is at it. The file itself lies
# in a folder (dispatcher/shelf.py) for as long as `file_gone_at` is NULL, its rejected rows as long as
# `rejects_gone_at` is. Nobody is named here: a header that holds an address is not kept.
upload = Table(
    "upload",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("file", Text, nullable=False),  # as whoever handed it in calls it
    Column("stored", Text, nullable=False, unique=True),  # its name in the folder: random
    Column("octets", BigInteger, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("origin", Text, nullable=False),  # where its people come from, in words
    Column("how", Json, nullable=False),  # how it is to be read
    Column("by", Text, nullable=False),  # who handed it in
    Column("at", Utc, nullable=False),
    Column("state", Text, nullable=False),
    Column("since", Utc, nullable=False),  # of the state
    Column("begun_at", Utc),  # when the stage at hand was begun; NULL: not yet
    Column("columns", Json),  # what its columns mean; NULL: not known
    Column("octets_done", BigInteger, nullable=False, server_default="0"),  # of the stage at hand
    Column("counts", Json, nullable=False),  # of the stage at hand
    Column("looked", Json),  # what the dry run counted
    Column("run_id", Id, ForeignKey("import_run.id")),
    Column("decided_by", Text),  # who said that it is to be taken in, or discarded it
    Column("problem", Text),
    Column("cure", Text),
    Column("token", Integer, nullable=False, server_default="0"),  # of who holds it: only the last may write
    Column("owner", Text),
    Column("lease_until", Utc),
    Column("attempts", Integer, nullable=False, server_default="0"),  # claims without progress
    Column("file_gone_at", Utc),
    Column("rejects_gone_at", Utc),
    one_of("kind", UploadKind),
    one_of("state", UploadState),
    CheckConstraint("(owner IS NULL) = (lease_until IS NULL)", name="owner_has_lease"),
    CheckConstraint("state <> 'failed' OR problem IS NOT NULL", name="failed_has_problem"),
    CheckConstraint("state NOT IN ('looking', 'importing') OR file_gone_at IS NULL", name="at_work_has_file"),
)
# What waits for a worker, asked for every second.
Index(
    "ix_upload_due", upload.c.id,
    postgresql_where=text("state IN ('looking', 'importing')"), sqlite_where=text("state IN ('looking', 'importing')"),
)  # fmt: skip
