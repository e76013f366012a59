"""PostgreSQL looks once a statement, not once a row, whether the person, the declaration and the request are there that
consent events name: three keys took a fifth of its work on an import. What events may name is never deleted by anybody,
so a look at the moment of entering is enough; triggers refuse the rest. SQLite keeps its keys, which cost it little.

Revision ID: 0031
Revises: 0030
"""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_KEYS = {"subscriber_id": "subscriber", "declaration_id": "declaration", "request_id": "opt_in_request"}
_REFERRED = ("subscriber", "opt_in_request")  # a declaration is never changed anyhow: see 0009

# By joins, which the settings leave no way but to look each row up by its key. A plan that was made while the tables were
# small would read them whole for each statement; so would one for EXISTS, which PostgreSQL may answer from a table that it
# makes of all of them.
_LOOK = """
CREATE FUNCTION consent_event_refers() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    wrong record;
BEGIN
    SELECT b.id, b.subscriber_id, b.declaration_id, b.request_id INTO wrong FROM brought b
        LEFT JOIN subscriber s ON s.id = b.subscriber_id
        LEFT JOIN declaration d ON d.id = b.declaration_id
        LEFT JOIN opt_in_request r ON r.id = b.request_id
    WHERE s.id IS NULL OR b.declaration_id IS NOT NULL AND d.id IS NULL OR b.request_id IS NOT NULL AND r.id IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'consent event % names a person (%), a declaration (%) or a request (%) that is not there',
            wrong.id, wrong.subscriber_id, wrong.declaration_id, wrong.request_id
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$
"""
_STAY = """
CREATE FUNCTION referred_to() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a row of % is never deleted and keeps its id: consent events name it. What is personal in it is'
        ' blanked instead: dispatcher subscribers erase, or retention.', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for column in _KEYS:
        op.execute(f"ALTER TABLE consent_event DROP CONSTRAINT fk_consent_event_{column}")
    op.execute(_LOOK)
    op.execute(
        "CREATE TRIGGER consent_event_refers AFTER INSERT ON consent_event REFERENCING NEW TABLE AS brought"
        " FOR EACH STATEMENT EXECUTE FUNCTION consent_event_refers()"
    )
    op.execute(_STAY)
    for table in _REFERRED:
        op.execute(
            f"CREATE TRIGGER {table}_referred_to BEFORE DELETE OR TRUNCATE OR UPDATE OF id ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION referred_to()"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in _REFERRED:
        op.execute(f"DROP TRIGGER {table}_referred_to ON {table}")
    op.execute("DROP FUNCTION referred_to()")
    op.execute("DROP TRIGGER consent_event_refers ON consent_event")
    op.execute("DROP FUNCTION consent_event_refers()")
    for column, table in _KEYS.items():
        op.execute(
            f"ALTER TABLE consent_event ADD CONSTRAINT fk_consent_event_{column}"
            f" FOREIGN KEY({column}) REFERENCES {table} (id)"
        )
