"""A person's right is served at a button: dossier, export, rectification, erasure, objection, restriction.

What must stay true: what is done, its line in the log of rights and its entry in the audit log are one transaction; a
file names nobody, neither in its name nor in the log. Files are gathered by a reader, so that nobody who writes waits.
"""

import io
import zipfile
from datetime import datetime

from starlette.responses import Response

from dispatcher.console.declare import Mend, Values, act, area, look
from dispatcher.console.said import by, person_of, said_address, said_day, said_language, said_line, said_scope
from dispatcher.console.visit import Visit
from dispatcher.db.engine import reading, scrub
from dispatcher.db.terms import Topic
from dispatcher.domain import consent, zones
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import Address, parse_address
from dispatcher.domain.people import rights
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.staff.roles import Permission
from dispatcher.domain.typed import clean_name
from dispatcher.errors import InputRefused, SettingInvalid
from dispatcher.rights import dossier as dossiers
from dispatcher.rights import paper, sealed, serving
from dispatcher.rights.dossier import House
from dispatcher.rights.records import canonical
from dispatcher.rights.serving import Objection, Order, Right
from dispatcher.sending import notary
from dispatcher.zone import ZONE

_DAY = "%Y-%m-%d"
_KINDS = {"html": "text/html; charset=utf-8", "json": "application/json", "zip": "application/zip"}


def ask(visit: Visit) -> Values:
    """Show the form of a right."""
    person = person_of(visit)
    stands = consent.standing(visit.conn, person.id)
    return {"person": person, "topics": list(Topic), "stands": stands, "today": visit.now.astimezone(ZONE).date()}


def dossier(visit: Visit) -> Response:
    """Make the sealed file that proves a person's consent."""
    settings, language, kind = visit.desk.settings, said_language(visit), visit.said("format")
    if kind not in ("html", "json"):
        raise Mend({"": "rights.format_missing"})
    with reading(visit.desk.engine).connect() as conn:
        person = person_of(visit, conn)
        facts = dossiers.gather(conn, visit.desk.keyring, _address(visit, person).mail, _house(visit), visit.now)
        try:
            key = notary.seal_key(conn, settings)
        except SettingInvalid:
            raise Mend({"": "rights.no_seal"}) from None
    made = (
        sealed.seal_html(paper.dossier(facts, language, key.key_id), key)
        if kind == "html"
        else sealed.seal_json(facts, key)
    )
    with visit.change():
        visit.note("subscriber", person.id, format=kind)
    return _file(visit, f"dossier-{person.id}", kind, made)


def export(visit: Visit) -> Response:
    """Hand out everything that is held about a person, to read and as data, in one archive."""
    desk = visit.desk
    with reading(desk.engine).connect() as conn:
        person = person_of(visit, conn)
        order = _order(visit, person)
    facts, language = serving.exported(desk.engine, desk.keyring, _house(visit), order, said_language(visit))
    with visit.change() as conn:
        serving.note_export(conn, desk.keyring, order)
        visit.note("subscriber", person.id)
    name = f"export-{person.id}"
    packed = _packed({f"{name}.html": paper.access(facts, language), f"{name}.json": canonical(facts)}, visit.now)
    return _file(visit, name, "zip", packed)


def rectify(visit: Visit) -> Response:
    """Put a person's data right: what is written otherwise than it stands."""
    person = person_of(visit)
    right = _right(visit, person)
    if right == Right():
        raise Mend({"": "rights.nothing_to_put_right"})
    desk = visit.desk
    done = serving.rectify(visit.conn, desk.keyring, desk.settings, _order(visit, person), right)
    if (mail := done.mail) is not None:
        visit.afterwards(lambda: desk.site.nudge(mail))
    visit.note("subscriber", person.id, name=right.name is not None, language=right.language, address=mail is not None)
    return visit.go(f"/subscribers/{person.id}", "rights.is_asked" if mail else "rights.is_rectified")


def erase(visit: Visit) -> Response:
    """Erase a person on their word, for good."""
    person = person_of(visit)
    if person.restricted_at is not None:
        raise Mend({"": "rights.is_kept"})
    _, topics = serving.erase_within(visit.conn, visit.desk.keyring, _order(visit, person))
    visit.afterwards(lambda: scrub(visit.desk.engine))
    visit.note("subscriber", person.id, topics=" ".join(topics))
    return visit.go(f"/subscribers/{person.id}", "rights.is_erased")


def object_to(visit: Visit) -> Response:
    """Note that a person objects to being written to: at once, and no later sign-up lifts it."""
    person, scope = person_of(visit), said_scope(visit)
    source = f"{by(visit)}, on the person's objection (Art. 21 GDPR): {said_line(visit, 'source')}"
    topics = (scope,) if scope else tuple(Topic)
    new = serving.object_to(visit.conn, person, Objection(topics, source, visit.who.name, _received(visit)))
    visit.note("subscriber", person.id, topics=" ".join(new))
    return visit.go(f"/subscribers/{person.id}", "rights.is_objected" if new else "rights.was_objected")


def restrict(visit: Visit) -> Response:
    """Keep a person's data and do nothing else with it."""
    person = person_of(visit)
    outcome = serving.restrict(visit.conn, visit.desk.keyring, _order(visit, person))
    visit.note("subscriber", person.id, outcome=outcome)
    return visit.go(f"/subscribers/{person.id}", "rights.is_restricted")


def release(visit: Visit) -> Response:
    """End a restriction, once the person was told so."""
    person, told = person_of(visit), said_day(visit, "told")
    if told is None:
        raise Mend({"told": "rights.told_missing"})
    if told > visit.now.astimezone(ZONE).date():
        raise Mend({"told": "rights.told_ahead"})
    serving.release(visit.conn, visit.desk.keyring, _order(visit, person), told)
    visit.note("subscriber", person.id, told=str(told))
    return visit.go(f"/subscribers/{person.id}", "rights.is_released")


def _order(visit: Visit, person: Subscriber) -> Order:
    return Order(_address(visit, person), _received(visit), visit.who.name)


def _received(visit: Visit) -> datetime | None:
    day = said_day(visit, "received")
    try:
        return rights.received(day, visit.now) if day else None
    except InputRefused:
        raise Mend({"received": "subscribers.day_ahead"}) from None


def _address(visit: Visit, person: Subscriber) -> Address:
    """Give a person's address; where it is gone, the one that whoever asks has typed: its hash has to be theirs."""
    if person.address is not None:
        return parse_address(person.address)
    typed = said_address(visit)
    if address_hash(visit.desk.keyring, typed) != person.address_hash:
        raise Mend({"address": "rights.another_address"})
    return typed


def _right(visit: Visit, person: Subscriber) -> Right:
    language = said_language(visit)
    try:
        name = clean_name(visit.said("name"))
    except InputRefused:
        raise Mend({"name": "people.name_wrong"}) from None
    zone = visit.said("zone") or None
    if zone is not None and not zones.is_known(zone):
        raise Mend({"zone": "rights.zone_unknown"})
    new = said_address(visit, "new") if visit.said("new") else None
    return Right(
        name if name != person.name else None, language if language is not person.language else None, zone, new
    )


def _house(visit: Visit) -> House:
    s = visit.desk.settings
    return House(s.sender_name, s.sender_address, s.impressum, visit.who.name)


def _packed(files: dict[str, bytes], now: datetime) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(zipfile.ZipInfo(name, now.astimezone(ZONE).timetuple()[:6]), content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _file(visit: Visit, name: str, kind: str, content: bytes) -> Response:
    day = visit.now.astimezone(ZONE).strftime(_DAY)
    given = {"Content-Disposition": f'attachment; filename="{name}-{day}.{kind}"'}
    return Response(content, headers=given, media_type=_KINDS[kind])


_P = Permission.SERVE_RIGHTS
_ONE = "/subscribers/{subscriber}"
PAGES = area(
    "subscribers",
    look(f"{_ONE}/dossier", _P, "rights_dossier", ask),
    act(f"{_ONE}/dossier", _P, "rights.dossier", dossier, alone=True),
    look(f"{_ONE}/export", _P, "rights_export", ask),
    act(f"{_ONE}/export", _P, "rights.exported", export, alone=True),
    look(f"{_ONE}/rectify", _P, "rights_rectify", ask),
    act(f"{_ONE}/rectify", _P, "rights.rectified", rectify),
    look(f"{_ONE}/erase", _P, "rights_erase", ask),
    act(f"{_ONE}/erase", _P, "rights.erased", erase),
    look(f"{_ONE}/object", _P, "rights_object", ask),
    act(f"{_ONE}/object", _P, "rights.objected", object_to),
    look(f"{_ONE}/restrict", _P, "rights_restrict", ask),
    act(f"{_ONE}/restrict", _P, "rights.restricted", restrict),
    look(f"{_ONE}/release", _P, "rights_release", ask),
    act(f"{_ONE}/release", _P, "rights.released", release),
)
