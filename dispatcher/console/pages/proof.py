"""That nobody has altered the ledger of consent: verify it, see and take checkpoints, check a dossier.

What must stay true: a file that is checked is read and forgotten, never stored.
"""

from starlette.exceptions import HTTPException
from starlette.responses import Response

from dispatcher.console import paging, verifier
from dispatcher.console.declare import Mend, Moment, Values, act, area, file, live, look, sized
from dispatcher.console.visit import Visit
from dispatcher.db import raw
from dispatcher.domain.proof import chain_head, checkpoints, seal
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import InputRefused, PartUnavailable, SettingInvalid
from dispatcher.rights import sealed
from dispatcher.sending import notary
from dispatcher.web.forms import Size
from dispatcher.zone import ZONE

_DOSSIER = Size(8 * 1024 * 1024, files=1)  # how large one may be that is handed in


def show(visit: Visit) -> Values:
    """Give what the last verification found, and a page of checkpoints."""
    asked = paging.asked(visit)
    with raw.undecoded(visit.conn):
        found = checkpoints.newest(visit.conn, paging.PER_PAGE + 1, asked.before, asked.after)
    end = chain_head.read(visit.conn)
    return {
        "events": end.events if end else 0,
        "sheet": paging.sheet(found, asked, lambda kept: kept.id),
        "file": visit.desk.settings.var / notary.FILE,
        "key": _key(visit),
        **poll(Moment(visit.desk, visit.conn, visit.now, {})),
    }


def poll(moment: Moment) -> Values:
    """Give how far the verification is that is under way, else what the last one found."""
    return {"progress": moment.desk.verifier.progress, "last": verifier.last(moment.conn), "now": moment.now}


def verify(visit: Visit) -> Response:
    """Begin to verify; the page shows how far it is."""
    if not visit.desk.verifier.start(visit.actor):
        raise Mend({"": "proof.is_under_way"})
    return visit.go("/consent/proof")


def take(visit: Visit) -> Response:
    """Sign where the ledger ends now."""
    try:
        made = notary.make(visit.desk.engine, visit.desk.settings)
    except (SettingInvalid, PartUnavailable):
        raise Mend({"": "proof.not_signed"}) from None
    if made is None:
        raise Mend({"": "proof.is_empty"})
    with visit.change():
        visit.note(None, None, events=made.events)
    return visit.go("/consent/proof", "proof.is_taken")


def download(visit: Visit) -> Response:
    """Hand out every checkpoint, a line each."""
    with raw.undecoded(visit.conn):
        lines = "".join(f"{point.line}\n" for point in checkpoints.kept(visit.conn))
    return _handed(f"consent_checkpoints-{visit.now.astimezone(ZONE):%Y-%m-%d}.jsonl", lines, "application/jsonl")


def public_key(visit: Visit) -> Response:
    """Hand out the key that verifies checkpoints and dossiers."""
    key = _key(visit)
    if key is None:
        raise HTTPException(404)
    return _handed(f"dispatcher-proofs-{key.key_id}.pem", key.public_pem, "application/x-pem-file")


def ask(_visit: Visit) -> Values:
    """Show the form by which a dossier is checked."""
    return {"checked": None}


def check(visit: Visit) -> Response:
    """Say whether a dossier is as it was sealed, and whether with our key."""
    handed = visit.form.files.get("file")
    if not handed or not handed[0].content:
        raise Mend({"file": "proof.file_missing"})
    try:
        found = sealed.check(handed[0].content)
    except InputRefused:
        raise Mend({"file": "proof.file_strange"}) from None
    key = _key(visit)
    is_ours = key is not None and found.problem is None and seal.is_same(key.public_pem, found.pem)
    return visit.page("consent_dossier", checked=found, is_ours=is_ours, key=key)


def _key(visit: Visit) -> seal.Seal | None:
    """Give our key; None where it is not, or the pages may not read it."""
    try:
        return seal.load(visit.desk.settings.seal_key)
    except SettingInvalid:
        return None


def _handed(name: str, text: str, kind: str) -> Response:
    return Response(text, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


_P = Permission
_HERE = "/consent/proof"
PAGES = area(
    "consent",
    look(_HERE, _P.SEE_CONSENT, "consent_proof", show),
    live(f"{_HERE}/live", _P.SEE_CONSENT, "consent_proof_live", poll, every=1),
    act(f"{_HERE}/verify", _P.EDIT_CONSENT, verifier.ACTION, verify, mends=_HERE, alone=True),
    act(f"{_HERE}/take", _P.EDIT_CONSENT, "proof.taken", take, mends=_HERE, alone=True),
    file(f"{_HERE}/checkpoints", _P.SEE_CONSENT, download),
    file(f"{_HERE}/key", _P.SEE_CONSENT, public_key),
    look(f"{_HERE}/dossier", _P.SEE_CONSENT, "consent_dossier", ask),
    sized(act(f"{_HERE}/dossier", _P.SEE_CONSENT, "proof.checked", check, alone=True), _DOSSIER),
)
