"""The words that the schema knows. Each member is stored as its value; a CHECK in tables.py admits no other.

A word is never renamed once it has been stored; topic codes travel in links that never expire.
"""

from enum import StrEnum

from dispatcher.languages import Language

__all__ = [
    "EVERY_TOPIC", "TOPIC_CODES", "ActorKind", "BatchState", "CampaignKind", "CampaignState", "ChosenBy", "ConsentKind",
    "Errand", "Hold", "IssueOutcome", "Language", "Otherwise", "Outcome", "RightKind", "Role", "Scope", "SeriesState",
    "SessionStage", "SubscriptionState", "SuppressionReason", "Topic", "UnknownPolicy", "UploadKind", "UploadState",
]  # fmt: skip


class Topic(StrEnum):
    """What a person can agree to be written about."""

    PRODUCT_NEWS = "product-news"
    FINANCE_NEWS = "finance-news"
    SPECIAL_OFFERS = "special-offers"


# The byte that stands for a topic inside a link; 0 is "every topic". Never reuse a number.
TOPIC_CODES = {Topic.PRODUCT_NEWS: 1, Topic.FINANCE_NEWS: 2, Topic.SPECIAL_OFFERS: 3}

EVERY_TOPIC = "all"  # the scope of a suppression that holds for every topic


class ConsentKind(StrEnum):
    """What happened to a consent. Only `imported` with evidence and `confirmed` make it current."""

    REQUESTED = "requested"  # somebody typed the address into the form
    CONFIRMATION_SENT = "confirmation-sent"  # our relay took the confirmation mail
    CONFIRMED = "confirmed"  # the button on the confirmation page was pressed
    IMPORTED = "imported"  # a file brought the consent, with its evidence
    LISTED = "listed"  # a file brought the address without evidence: pending
    WITHDRAWN = "withdrawn"  # the person (or an operator on their word) ended it
    OBJECTED = "objected"  # Art. 21 GDPR: every topic
    EXPIRED = "expired"  # never confirmed in time
    ERASED = "erased"  # Art. 17 GDPR
    PAUSED = "paused"  # the person wants no letters for some weeks; every consent stays as it is
    RESUMED = "resumed"  # the pause is over, or was ended by the person
    RESTRICTED = "restricted"  # Art. 18 GDPR: kept, and nothing else is done with it; every consent stays as it is
    RELEASED = "released"  # the restriction is over
    MOVE_ASKED = "move-asked"  # somebody with a link of theirs named another address
    MOVE_ALLOWED = "move-allowed"  # the button in the mail to the present address was pressed
    ADDRESS_CHANGED = "address-changed"  # and the one in the mail to the new address: it is theirs now


class SubscriptionState(StrEnum):
    """Where one person stands with one topic; the last consent event decides."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"


class SuppressionReason(StrEnum):
    """Why an address may not be mailed. A new double opt-in lifts `withdrawn` and `erased`, nothing else."""

    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"
    COMPLAINT = "complaint"
    BOUNCED = "bounced"
    OPERATOR = "operator"
    ERASED = "erased"


class RightKind(StrEnum):
    """What a person may ask of us about their data (GDPR)."""

    ACCESS = "access"  # Art. 15
    PORTABILITY = "portability"  # Art. 20
    RECTIFICATION = "rectification"  # Art. 16
    ERASURE = "erasure"  # Art. 17
    RESTRICTION = "restriction"  # Art. 18
    OBJECTION = "objection"  # Art. 21


class Errand(StrEnum):
    """What the one letter of a request is for."""

    OPT_IN = "opt-in"  # asks whether it was this person who signed up
    LEAVE_ADDRESS = "leave-address"  # asks the present address whether its owner wants to move to another
    TAKE_ADDRESS = "take-address"  # asks the new address whether it is theirs
    MOVED = "moved"  # tells the former address


class CampaignKind(StrEnum):
    """A newsletter goes to an audience; a confirmation goes to the one person who asked."""

    NEWSLETTER = "newsletter"
    CONFIRMATION = "confirmation"


class CampaignState(StrEnum):
    """The life of a campaign; domain/newsletters/campaigns.py has the allowed moves."""

    DRAFT = "draft"  # being written
    SCHEDULED = "scheduled"  # released; waits for its time
    PREPARING = "preparing"  # its launch has begun
    SENDING = "sending"  # batches are being drained; at first people of a large audience are still being added
    PAUSED = "paused"  # nothing passes the gate
    SENT = "sent"  # everyone in the audience is accounted for
    CANCELLED = "cancelled"  # what had not passed the gate never will


class Hold(StrEnum):
    """Why a campaign was paused by itself, and what lets it go on by itself."""

    STALE_PRICES = "stale-prices"  # its prices are older than it allows: goes on with new content


class UnknownPolicy(StrEnum):
    """What to do with a letter whose fate cannot be known."""

    HOLD = "hold"  # count it, name it, leave it to a person
    RESEND = "resend"  # send again with the same Message-ID


class SeriesState(StrEnum):
    """The life of a series."""

    ACTIVE = "active"  # its next issue has a time
    PAUSED = "paused"  # no issue comes until it is resumed
    ENDED = "ended"  # for good


class IssueOutcome(StrEnum):
    """What became of an issue of a series when its time came."""

    RELEASED = "released"  # as a campaign of its own
    EMPTY = "empty"  # there was no content: passed over
    SKIPPED = "skipped"  # passed over on an operator's word; the content waits for the next
    MISSED = "missed"  # nobody was there at its time, and it was too late when somebody came
    REFUSED = "refused"  # its content could not be released; it waits, to be mended


class BatchState(StrEnum):
    """The life of a page of the audience."""

    READY = "ready"  # to be claimed
    LEASED = "leased"  # a worker holds it until lease_until
    DEFERRED = "deferred"  # only deferrals are left; due at not_before
    DONE = "done"  # every recipient has a delivery row
    QUARANTINED = "quarantined"  # a person has to look
    WAITING = "waiting"  # for the subject that wins a trial; nobody claims it before


class Otherwise(StrEnum):
    """What happens to the rest of a trial of subjects when its wait is over and nothing has decided."""

    FIRST = "first"  # it gets the first subject
    WAIT = "wait"  # it waits for somebody to choose


class ChosenBy(StrEnum):
    """What decided a trial of subjects."""

    HAND = "hand"  # somebody chose
    FIGURES = "figures"  # clearly fewer withdrew
    OTHERWISE = "otherwise"  # nothing was clear, and the first was to be taken then
    FEW = "few"  # there were fewer people than subjects: all got the first


class Outcome(StrEnum):
    """What became of one recipient in one campaign. Final, but for `unknown`, which evidence may turn to `sent`."""

    SENT = "sent"  # the relay answered 2xx to the dot
    FAILED = "failed"  # refused for good, expired, or could not be composed
    UNKNOWN = "unknown"  # the dot left, no answer came
    WITHHELD = "withheld"  # no current consent, or suppressed: not mailed


class Role(StrEnum):
    """What somebody of the staff may do; domain/staff/roles.py has what each one permits."""

    VIEWER = "viewer"  # looks at figures, never at an address
    EDITOR = "editor"  # writes campaigns
    SENDER = "sender"  # lets them go
    DATA_PROTECTION = "data-protection"  # answers people who ask by right
    ADMIN = "admin"


class SessionStage(StrEnum):
    """How far somebody came who is logging in. Only `full` opens the console."""

    SECOND_FACTOR = "second-factor"  # the password was right; the code is asked for
    ENROL = "enrol"  # the password was right; a second factor has to be set up first
    FULL = "full"


class ActorKind(StrEnum):
    """Who did what the audit log tells."""

    MEMBER = "member"  # somebody of the staff, at the console
    OPERATOR = "operator"  # somebody at the command line
    KEY = "key"  # a program, with a key of the API
    FEED = "feed"  # a feed of news, by itself
    NOBODY = "nobody"  # somebody who was not logged in


class Scope(StrEnum):
    """What a key of the API may do. A key has the scopes that it was made with, and no other follows from them."""

    CAMPAIGNS_READ = "campaigns:read"  # campaigns, their content, previews and figures
    CAMPAIGNS_WRITE = "campaigns:write"  # enter drafts and feeds, look them over
    CAMPAIGNS_SEND = "campaigns:send"  # schedule, start, pause, resume, cancel, slow down
    SUBSCRIBERS_READ = "subscribers:read"  # people by address or id, letters, the never-mail list
    SUBSCRIBERS_WRITE = "subscribers:write"  # enter people, withdraw, object, suppress
    CONSENT_READ = "consent:read"  # declarations, and the ledger of consent with its evidence
    WEBHOOKS_WRITE = "webhooks:write"  # endpoints of webhooks, and what was sent to them
    RIGHTS_WRITE = "rights:write"  # give people everything held about them, erase them


class WebhookKind(StrEnum):
    """Of what an endpoint is told."""

    CONSENT_GIVEN = "consent.given"  # a consent is current: confirmed, or imported with evidence
    CONSENT_ENDED = "consent.ended"  # withdrawn, objected to, or expired
    PERSON_ERASED = "person.erased"  # with everything they had agreed to
    CAMPAIGN_MOVED = "campaign.moved"  # a newsletter is in another state
    SUPPRESSION_ADDED = "suppression.added"  # the never-mail list has one more entry, or a graver one
    TEST = "webhook.test"  # somebody wants to see whether it arrives; every endpoint takes it


class MessageState(StrEnum):
    """The life of a webhook's message."""

    WAITING = "waiting"  # to be delivered when it is due
    DELIVERED = "delivered"  # the receiver said 2xx
    GIVEN_UP = "given-up"  # it did not, ten times in three days


class UploadKind(StrEnum):
    """What a file that was handed in holds."""

    PEOPLE = "people"  # whom to take in
    NEVER_MAIL = "never-mail"  # whom never to mail


class UploadState(StrEnum):
    """The life of a file that was handed in; domain/uploads.py has the allowed moves."""

    LOOKING = "looking"  # a dry run is due, or under way
    LOOKED = "looked"  # what it would do is known; it waits for somebody's word
    IMPORTING = "importing"  # to be taken in, or being taken in
    IMPORTED = "imported"  # taken in to its end
    FAILED = "failed"  # it cannot be read as a whole; it can be looked at once more, read otherwise
    DISCARDED = "discarded"  # let go of before it was taken in


class WorkerRole(StrEnum):
    """What a worker process is there for."""

    WATCH = "watch"  # ticks, watches over the others, and sends by itself while nobody can be called
    WAITED = "waited"  # launches, and mail that a person waits for
    BULK = "bulk"  # newsletters
