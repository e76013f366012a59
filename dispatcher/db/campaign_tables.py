"""The tables of a campaign, a part of the schema (tables.py): what is to be sent, in which portions, and what became of
each letter."""

from sqlalchemy import (
    CheckConstraint,
    Column,
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

from dispatcher.db.columns import Id, IdList, Json, Utc, one_of
from dispatcher.db.metadata import metadata
from dispatcher.db.terms import (
    BatchState,
    CampaignKind,
    CampaignState,
    ChosenBy,
    Hold,
    Language,
    Otherwise,
    Outcome,
    Topic,
    UnknownPolicy,
)

# A newsletter, or the one letter that asks a person to confirm. domain/newsletters/campaigns.py has its life.
campaign = Table(
    "campaign",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("topic", Text),  # NULL: a confirmation
    Column("name", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("default_language", String(2), nullable=False),
    Column("state", Text, nullable=False),
    Column("problem", Text),  # why it stands still, in words
    Column("hold", Text),  # paused by itself: why
    Column("epoch", Integer, nullable=False, server_default="0"),  # grows with what running workers must heed at once
    Column("priority", Integer, nullable=False, server_default="0"),  # larger goes first
    Column("send_at", Utc),
    Column("zone", Text),  # IANA; the zone in which send_at was named
    Column("wall_time", Text),  # goes out when each reader's own clock shows this; NULL: to all at send_at
    Column("unknown_policy", Text, nullable=False),
    Column("expires_after_s", Integer, nullable=False),  # from launch; after it a deferred letter has failed
    Column("rate_per_min", Integer),  # letters a minute at most, over all workers; NULL: no limit
    Column("request_id", Id, ForeignKey("opt_in_request.id"), unique=True),  # a confirmation: of which request
    Column("series_id", Id, ForeignKey("series.id"), index=True),  # an issue of it; a draft waits for its turn
    Column("filter", Json),  # whom it is for, of those who agreed (domain/filters.py); NULL: all of them
    Column("renews", Integer),  # no newsletter: it asks to renew consent, under the declaration of this number
    Column("prices_as_of", Utc),  # the oldest of its prices
    Column("prices_until", Utc),  # from then on no letter passes the gate; NULL: its prices do not age
    Column("edition_no", Integer, nullable=False, server_default="1"),  # which edition letters are made of now; of a
    # trial of subjects the first of them, and those of the other subjects follow
    Column("audience", Integer),  # frozen at launch, portion by portion: how many people so far
    Column("unfrozen_from", Id),  # from this person on it is still to be frozen; NULL: nobody is left, or not begun
    Column("version", Integer, nullable=False, server_default="1"),  # of what was written: one more with each saving
    Column("created_at", Utc, nullable=False),
    Column("launched_at", Utc),
    Column("finished_at", Utc),
    one_of("kind", CampaignKind),
    one_of("state", CampaignState),
    one_of("hold", Hold),
    one_of("topic", Topic),
    one_of("default_language", Language),
    one_of("unknown_policy", UnknownPolicy),
    CheckConstraint("(kind = 'newsletter') = (topic IS NOT NULL)", name="newsletter_has_topic"),
    CheckConstraint("(kind = 'confirmation') = (request_id IS NOT NULL)", name="confirmation_has_request"),
    # The tick looks for what is alive, among years of what is not.
    Index(
        "ix_campaign_alive",
        "state",
        "send_at",
        postgresql_where=text("state IN ('scheduled', 'preparing', 'sending')"),
        sqlite_where=text("state IN ('scheduled', 'preparing', 'sending')"),
    ),
    # The tick looks for launches that were cut off: hardly ever one.
    Index(
        "ix_campaign_launching",
        "id",
        postgresql_where=text("unfrozen_from IS NOT NULL"),
        sqlite_where=text("unfrozen_from IS NOT NULL"),
    ),
    # Lists show newsletters, the newest first: few among a letter of its own for everybody who signed up.
    Index(
        "ix_campaign_newsletter",
        "id",
        postgresql_where=text("kind = 'newsletter'"),
        sqlite_where=text("kind = 'newsletter'"),
    ),
)

# What the marketer wrote, a file per language, as it was given.
content = Table(
    "content",
    metadata,
    Column("campaign_id", Id, ForeignKey("campaign.id"), nullable=False),
    Column("language", String(2), nullable=False),
    Column("file", Text, nullable=False),
    Column("source", Text, nullable=False),
    PrimaryKeyConstraint("campaign_id", "language"),
    one_of("language", Language),
)

# The frozen letter per language: made when a campaign is released, never changed after. Each subject of a trial has one
# of its own. Content that is replaced while letters are out makes one with the next number.
edition = Table(
    "edition",
    metadata,
    Column("campaign_id", Id, ForeignKey("campaign.id"), nullable=False),
    Column("no", Integer, nullable=False),
    Column("language", String(2), nullable=False),
    Column("frozen", Text, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    PrimaryKeyConstraint("campaign_id", "no", "language"),
    one_of("language", Language),
)

# A trial of subjects: a share of the audience gets two to four of them in equal parts, and the rest waits for the one
# that is chosen. Here is a row for each campaign whose content brings several subjects.
trial = Table(
    "trial",
    metadata,
    Column("campaign_id", Id, ForeignKey("campaign.id"), primary_key=True, autoincrement=False),
    Column("share", Integer, nullable=False),  # per cent of the audience, all subjects together
    Column("wait_s", Integer, nullable=False),  # from the last letter of the trial on
    Column("otherwise", Text, nullable=False),
    Column("variants", Integer),  # how many subjects were dealt out at the launch; NULL: it has not begun
    Column("until", Utc),  # when the wait is over; NULL: letters of the trial are still to go
    Column("chosen", Integer),  # which subject, from 1; NULL: none yet
    Column("chosen_at", Utc),
    Column("chosen_by", Text),
    Column("figures", Json),  # of each subject, as they stood when it was chosen
    one_of("otherwise", Otherwise),
    one_of("chosen_by", ChosenBy),
    CheckConstraint("share BETWEEN 1 AND 90", name="share_leaves_a_rest"),
    CheckConstraint("wait_s > 0", name="waits"),
    CheckConstraint("chosen IS NULL OR chosen BETWEEN 1 AND variants", name="chosen_is_one_of_them"),
    CheckConstraint(
        "(chosen IS NULL) = (chosen_at IS NULL) AND (chosen IS NULL) = (chosen_by IS NULL)", name="chosen_says_how"
    ),
)

# --- Sending ------------------------------------------------------------------------------------------------------

# The frozen audience, a page of ids a row, all of one mailbox provider, so that a slow one holds up nobody else's.
# No row per pending recipient: a page is claimed whole.
batch = Table(
    "batch",
    metadata,
    Column("campaign_id", Id, ForeignKey("campaign.id"), nullable=False),
    Column("no", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("subscriber_ids", IdList, nullable=False),  # never changed, and on PostgreSQL kept out of line
    Column("provider", Text, nullable=False, server_default="other"),
    Column(
        "variant", Integer
    ),  # which subject of a trial its people get, from 1; NULL: there is one, or none is chosen
    Column("owner", Text),  # which worker holds it
    Column("token", Integer, nullable=False, server_default="0"),  # grows with each claim: the fence
    Column("lease_until", Utc),
    Column("attempts", Integer, nullable=False, server_default="0"),  # claims that ended without a word
    Column("left_last", Integer),  # how many were left when such a claim was last looked at
    Column("due_at", Utc),  # when its people's time comes; NULL: with the launch
    Column("not_before", Utc),
    Column("last_error", Text),
    Column("in_flight", Text),  # whose dots may be out, a line each (flights.py); on PostgreSQL never compressed
    PrimaryKeyConstraint("campaign_id", "no"),
    one_of("state", BatchState),
    CheckConstraint("(state = 'leased') = (owner IS NOT NULL)", name="leased_has_owner"),
    CheckConstraint("state <> 'waiting' OR variant IS NULL", name="waiting_has_no_variant"),
    # The claim looks for what is not done, among much that is.
    Index(
        "ix_batch_open",
        "state",
        "not_before",
        postgresql_where=text("state IN ('ready', 'leased', 'deferred')"),
        sqlite_where=text("state IN ('ready', 'leased', 'deferred')"),
    ),
    postgresql_with={"fillfactor": "70"},
)

# The ledger of deliveries: INSERT only, at most one row per campaign and person, so "twice" cannot be recorded.
# No foreign keys, and one index for a letter that arrived: each look-up would be paid for with every letter. One
# person's story is looked up campaign by campaign.
delivery = Table(
    "delivery",
    metadata,
    Column("campaign_id", Id, nullable=False),
    Column("subscriber_id", Id, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("consent_event_id", Id),  # under which consent the dot was released
    Column("at", Utc, nullable=False),
    Column("code", Integer),  # the relay's reply code
    Column("reply", Text),  # its words, or why it was withheld
    Column("relay", Text),
    Column("edition_no", Integer),  # which edition went out; NULL: no letter did, or it is from before editions had one
    PrimaryKeyConstraint("campaign_id", "subscriber_id"),
    one_of("outcome", Outcome),
    CheckConstraint("outcome NOT IN ('sent', 'unknown') OR consent_event_id IS NOT NULL", name="sent_names_consent"),
    # Few among many: they are counted and paged through (tallies.py, missing.py), without those that arrived.
    Index(
        "ix_delivery_missed",
        "campaign_id",
        "outcome",
        "subscriber_id",
        postgresql_where=text("outcome <> 'sent'"),
        sqlite_where=text("outcome <> 'sent'"),
    ),
)

# What became of the recipients of an old campaign whose rows in `delivery` were folded: counted, nobody named.
delivery_count = Table(
    "delivery_count",
    metadata,
    Column("campaign_id", Id, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("people", Integer, nullable=False),
    PrimaryKeyConstraint("campaign_id", "outcome"),
    one_of("outcome", Outcome),
)

# 4xx answers that wait for their next attempt. A row goes when a delivery row comes.
deferral = Table(
    "deferral",
    metadata,
    Column("campaign_id", Id, nullable=False),
    Column("subscriber_id", Id, nullable=False),
    Column("batch_no", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("retry_at", Utc, nullable=False),
    Column("code", Integer),
    Column("reply", Text),
    Column("relay", Text),
    Column("consent_event_id", Id),  # of a dot that left and was never answered: who is tried again may have it already
    PrimaryKeyConstraint("campaign_id", "subscriber_id"),
    Index(None, "campaign_id", "batch_no", "retry_at"),
)

# --- Retention ----------------------------------------------------------------------------------------------------
