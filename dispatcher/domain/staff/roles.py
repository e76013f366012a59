"""What each role permits: the one table that decides."""

from collections.abc import Mapping
from enum import StrEnum

from dispatcher.db.terms import Role


class Permission(StrEnum):
    """Something that not everybody may do."""

    OWN_PROFILE = "own-profile"  # one's own password, language, second factor
    SEE_OVERVIEW = "see-overview"
    SEE_CAMPAIGNS = "see-campaigns"  # figures, never an address
    EDIT_CAMPAIGNS = "edit-campaigns"
    SEND_CAMPAIGNS = "send-campaigns"  # release, pause, resume, cancel
    SEE_SUBSCRIBERS = "see-subscribers"  # addresses and stories
    EDIT_SUBSCRIBERS = "edit-subscribers"  # add, import, suppress
    EXPORT_SUBSCRIBERS = "export-subscribers"  # take everybody out of the house, as a file
    SERVE_RIGHTS = "serve-rights"  # dossier, export, rectification, erasure
    SEE_CONSENT = "see-consent"
    EDIT_CONSENT = "edit-consent"  # declarations
    SEE_HEALTH = "see-health"
    EDIT_HEALTH = "edit-health"  # rates and pauses of relays and providers
    SEE_PEOPLE = "see-people"
    EDIT_PEOPLE = "edit-people"  # invite, role, switch off, keys
    SEE_AUDIT = "see-audit"


_P = Permission
_VIEWER = frozenset({_P.OWN_PROFILE, _P.SEE_OVERVIEW, _P.SEE_CAMPAIGNS, _P.SEE_CONSENT, _P.SEE_HEALTH})
_EDITOR = _VIEWER | {_P.EDIT_CAMPAIGNS, _P.SEE_SUBSCRIBERS}

ROLES: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.EDITOR: _EDITOR,
    Role.SENDER: _EDITOR | {_P.SEND_CAMPAIGNS, _P.EDIT_HEALTH},
    Role.DATA_PROTECTION: _VIEWER
    | {_P.SEE_SUBSCRIBERS, _P.EDIT_SUBSCRIBERS, _P.EXPORT_SUBSCRIBERS, _P.SERVE_RIGHTS}
    | {_P.EDIT_CONSENT, _P.SEE_PEOPLE, _P.SEE_AUDIT},
    Role.ADMIN: frozenset(Permission),
}

# What cannot be taken back: whoever may do one of these is asked for a second factor.
GRAVE = frozenset({_P.SEND_CAMPAIGNS, _P.SERVE_RIGHTS, _P.EDIT_PEOPLE})


def may(role: Role, permission: Permission) -> bool:
    """Claim that a role permits this."""
    return permission in ROLES[role]


def is_grave(role: Role) -> bool:
    """Claim that a role permits something that cannot be taken back."""
    return bool(ROLES[role] & GRAVE)
