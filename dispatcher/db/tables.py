"""The whole schema: the second file to read, with those beside it whose tables are imported below. What each table
promises stands above it.

Three promises hold everywhere. Times are UTC. A word in a state column is one that db/terms.py explains. What must not
happen twice is forbidden by a key, not by an earlier look.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

from dispatcher.db.api_tables import api_answer as api_answer
from dispatcher.db.api_tables import api_key as api_key
from dispatcher.db.campaign_tables import batch as batch
from dispatcher.db.campaign_tables import campaign as campaign
from dispatcher.db.campaign_tables import content as content
from dispatcher.db.campaign_tables import deferral as deferral
from dispatcher.db.campaign_tables import delivery as delivery
from dispatcher.db.campaign_tables import delivery_count as delivery_count
from dispatcher.db.campaign_tables import edition as edition
from dispatcher.db.campaign_tables import trial as trial
from dispatcher.db.chain_tables import consent_chain as consent_chain
from dispatcher.db.chain_tables import consent_checkpoint as consent_checkpoint
from dispatcher.db.columns import Id, Json, Utc, one_of
from dispatcher.db.ending_tables import ending_file as ending_file
from dispatcher.db.ending_tables import ending_owed as ending_owed
from dispatcher.db.metadata import metadata as metadata
from dispatcher.db.news_tables import news_entry as news_entry
from dispatcher.db.news_tables import news_feed as news_feed
from dispatcher.db.rate_tables import mailbox_domain as mailbox_domain
from dispatcher.db.rate_tables import mailbox_provider as mailbox_provider
from dispatcher.db.rate_tables import pace as pace
from dispatcher.db.rate_tables import relay_day as relay_day
from dispatcher.db.rate_tables import slowdown as slowdown
from dispatcher.db.release_tables import campaign_release as campaign_release
from dispatcher.db.release_tables import campaign_version as campaign_version
from dispatcher.db.release_tables import preflight as preflight
from dispatcher.db.release_tables import preflight_run as preflight_run
from dispatcher.db.rights_table import former_address as former_address
from dispatcher.db.rights_table import rights_request as rights_request
from dispatcher.db.series_tables import series as series
from dispatcher.db.series_tables import series_issue as series_issue
from dispatcher.db.staff_tables import audit_entry as audit_entry
from dispatcher.db.staff_tables import login_attempt as login_attempt
from dispatcher.db.staff_tables import staff_invitation as staff_invitation
from dispatcher.db.staff_tables import staff_member as staff_member
from dispatcher.db.staff_tables import staff_recovery_code as staff_recovery_code
from dispatcher.db.staff_tables import staff_session as staff_session
from dispatcher.db.terms import (
    EVERY_TOPIC,
    ConsentKind,
    Errand,
    Language,
    SubscriptionState,
    SuppressionReason,
    Topic,
)
from dispatcher.db.upload_table import upload as upload
from dispatcher.db.webhook_tables import webhook_endpoint as webhook_endpoint
from dispatcher.db.webhook_tables import webhook_message as webhook_message
from dispatcher.db.wording_tables import declaration as declaration
from dispatcher.db.wording_tables import privacy_notice as privacy_notice
from dispatcher.db.wording_tables import renewal as renewal
from dispatcher.db.worker_tables import relay_wish as relay_wish
from dispatcher.db.worker_tables import worker_report as worker_report

# --- People and their consent -------------------------------------------------------------------------------------

# One row per person. The address is unique by its keyed hash, which outlives the address itself.
subscriber = Table(
    "subscriber",
    metadata,
    Column("id", Id, primary_key=True),
    Column("public_id", LargeBinary(8), nullable=False, unique=True),  # random; the only id that leaves the house
    Column("address", Text),  # local part as given, domain in A-labels; NULL once erased
    Column("address_hash", LargeBinary(32), nullable=False, unique=True),
    Column(
        "provider", Text, nullable=False, server_default="other"
    ),  # of mailboxes: a word of domain/rates/providers.py
    Column("name", Text, nullable=False, server_default=""),
    Column("language", String(2), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("erased_at", Utc),
    Column("zone", Text),  # IANA; NULL: not known, and letters come by the campaign's
    Column("paused_until", Date),  # in the sender's zone, the day on which letters go again; NULL: no pause
    Column("restricted_at", Utc),  # Art. 18 GDPR: since when it is only kept; NULL: it is not restricted
    # The tick looks for pauses that are over, among many people who paused nothing.
    Index(
        "ix_subscriber_paused",
        "paused_until",
        postgresql_where=text("paused_until IS NOT NULL"),
        sqlite_where=text("paused_until IS NOT NULL"),
    ),
    # An import and retention look for the few whose data is restricted.
    Index(
        "ix_subscriber_restricted",
        "id",
        postgresql_where=text("restricted_at IS NOT NULL"),
        sqlite_where=text("restricted_at IS NOT NULL"),
    ),
    one_of("language", Language),
)

# The ledger of consent: INSERT only, each row chained to the one before (domain/proof/chain.py). One row per person,
# topic and thing that happened. Numbers come from consent_chain, without a gap. Salt and personal fields may go,
# together; a row never does. On PostgreSQL a trigger holds its three keys, once a statement (migration 0031); what they
# refer to is never deleted.
consent_event = Table(
    "consent_event",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("subscriber_id", Id, ForeignKey("subscriber.id"), nullable=False),
    Column("topic", Text),  # NULL: every topic
    Column("kind", Text, nullable=False),
    Column("at", Utc, nullable=False),  # when we recorded it
    Column("given_at", Utc),  # when it happened, by the evidence an import brought
    Column("source", Text, nullable=False),  # form URL and version, file and its declared origin, operator; '': gone
    Column("ip", Text),
    Column("user_agent", Text),
    Column("language", String(2)),
    Column("declaration_id", Id, ForeignKey("declaration.id")),
    Column("declaration_named", Text),  # as an import named it, known to us or not
    Column("privacy_sha256", LargeBinary(32)),
    Column("request_id", Id, ForeignKey("opt_in_request.id")),
    Column("mail_template", Text),  # confirmation-sent: version of the letter,
    Column("mail_sha256", LargeBinary(32)),  # hash of its bytes,
    Column("message_id", Text),  # its Message-ID
    Column("relay_reply", Text),  # and the relay's 250 line
    Column("salt", LargeBinary(16)),  # lets personal fields go while the chain stays checkable
    Column(
        "personal_sha256", LargeBinary(32), nullable=False
    ),  # of salt, source, ip, user_agent, message_id, relay_reply
    Column("chain_hash", LargeBinary(32), nullable=False),  # the link to the event before
    one_of("kind", ConsentKind),
    one_of("topic", Topic),
    Index(None, "subscriber_id", "id", unique=True),  # a person's story, in order
)

# Where each person stands with each topic, written in the same transaction as the event that put them there.
# The gate reads this: `confirmed` and nothing else lets a letter go. A row exists for everyone who ever asked, until
# retention has let go of them.
subscription = Table(
    "subscription",
    metadata,
    Column("topic", Text, nullable=False),
    Column("subscriber_id", Id, nullable=False),
    Column("state", Text, nullable=False),
    Column("event_id", Id, nullable=False),
    Column("since", Utc, nullable=False),
    Column("declaration_number", Integer),  # in which words; NULL: in none that we know
    PrimaryKeyConstraint("topic", "subscriber_id"),  # topic first: an audience is read in this order
    # No key to the event: a row is made of the event that it names, by one statement (consent_rows.set_standings), and
    # `consent verify` holds each against the ledger, which says more: same person, same topic, and none overrules it.
    Index(None, "subscriber_id"),  # one person's topics
    # Retention looks for requests that nobody confirmed, among millions of subscriptions.
    Index(
        "ix_subscription_pending",
        "since",
        postgresql_where=text("state = 'pending'"),
        sqlite_where=text("state = 'pending'"),
    ),
    one_of("topic", Topic),
    one_of("state", SubscriptionState),
)

# A letter around consent and the button that it leads to: a double opt-in, or a step of a change of address. The token
# is in the mail only: here are its hash and what it was derived from.
opt_in_request = Table(
    "opt_in_request",
    metadata,
    Column("id", Id, primary_key=True),
    Column("subscriber_id", Id, ForeignKey("subscriber.id"), nullable=False, index=True),
    Column("nonce", LargeBinary(16), nullable=False),
    Column("token_sha256", LargeBinary(32), nullable=False, unique=True),
    Column("topics", JSON, nullable=False),
    Column("language", String(2), nullable=False),
    Column("declaration_id", Id, ForeignKey("declaration.id")),
    Column("source", Text, nullable=False),
    Column("requested_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("used_at", Utc),
    Column("errand", Text, nullable=False, server_default=Errand.OPT_IN.value),
    Column("other_address", Text),  # to which the person wants to move, or (`moved`) which was theirs; NULL once erased
    Column("other_hash", LargeBinary(32)),  # its keyed hash
    Column("erased_at", Utc),  # nobody pressed the button in time: what was typed is gone
    Column("privacy_sha256", LargeBinary(32)),
    Column("renews", Integer),  # we asked, not they: to agree to the words of this number as well
    Column("campaign_id", Id),  # and the campaign that asked
    Column("released_at", Utc),  # of ours: since when its mail may be out; NULL: no dot of it has left
    one_of("language", Language),
    one_of("errand", Errand),
    # Nobody is asked twice to renew their consent under the same words.
    Index(
        "ix_opt_in_request_renews",
        "subscriber_id",
        "renews",
        unique=True,
        postgresql_where=text("renews IS NOT NULL"),
        sqlite_where=text("renews IS NOT NULL"),
    ),
)

# A file of people that is taken in, or was: how far, so that the same command on the same file goes on there.
# `rows_done` and `counts` move in the transaction that writes the rows; of one file and order one run is open at most.
import_run = Table(
    "import_run",
    metadata,
    Column("id", Id, primary_key=True),
    Column("order_sha256", LargeBinary(32), nullable=False),  # of file, origin and options
    Column("file", Text, nullable=False),  # its name
    Column("file_sha256", LargeBinary(32)),  # NULL: it came through a pipe
    Column("origin", Text, nullable=False),
    Column("options", Json, nullable=False),
    Column("rows_done", BigInteger, nullable=False),
    Column("counts", Json, nullable=False),
    Column("by", Text, nullable=False),  # whose account ran the command
    Column("started_at", Utc, nullable=False),
    Column("finished_at", Utc),
    Index("uq_import_run_open", "order_sha256", unique=True, postgresql_where=text("finished_at IS NULL"),
          sqlite_where=text("finished_at IS NULL")),
)  # fmt: skip

# Never mail these. Keyed hashes only; an entry wins over every consent.
suppression = Table(
    "suppression",
    metadata,
    Column("address_hash", LargeBinary(32), nullable=False),
    Column("scope", Text, nullable=False),  # a topic, or every topic
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("address_hash", "scope"),
    one_of("reason", SuppressionReason),
    one_of("scope", [EVERY_TOPIC, *Topic]),
    Index("ix_suppression_reason_at", "reason", "at"),  # the console counts by reason, and lists the newest first
)

# Which secret keys have been in use, by fingerprint. A start without one of them would forget suppressions and links.
secret_key = Table(
    "secret_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("fingerprint", LargeBinary(16), nullable=False),
    Column("first_seen", Utc, nullable=False),
)

# What strangers have tried at the sign-up form, for its limits. Keyed hashes; swept after a day.
signup_attempt = Table(
    "signup_attempt",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Utc, nullable=False, index=True),
    Column("bucket", Text, nullable=False),  # ip, address, domain, total
    Column("bucket_hash", LargeBinary(16), nullable=False),
    Column("number", Id, nullable=False, server_default=text("0")),  # runs within a bucket
    Index(None, "bucket_hash", "number"),  # the one that fills a bucket is found by its number
)

# --- Keeping -------------------------------------------------------------------------------------------------------

# Each run of retention: where it stands, and how many rows each step let go of. Counts only.
retention_run = Table(
    "retention_run",
    metadata,
    Column("id", Id, primary_key=True),
    Column("origin", Text, nullable=False),  # daily, or an operator
    Column("started_at", Utc, nullable=False),
    Column("finished_at", Utc),
    Column("is_open", Boolean, unique=True),  # true until it is finished, then NULL: there is one open run at most
    Column("step", Text),  # the one at hand; NULL: through
    Column("after", Json),  # how far that step has come
    Column("counts", Json, nullable=False),  # rows by step
)
