"""To set up a second factor: a picture to scan, and a code that proves that it was."""

import io

import segno
from markupsafe import Markup
from starlette.responses import Response

from dispatcher.console.declare import Mend, Values
from dispatcher.console.visit import Visit
from dispatcher.domain.staff import second_factor
from dispatcher.errors import InputRefused


def show(visit: Visit) -> Values:
    """Offer a secret; when the code was mistyped it is the same one again."""
    offer = second_factor.offer(
        visit.desk.keyring,
        visit.who.member_id,
        visit.who.email,
        visit.desk.settings.sender_name,
        visit.form.first("offer"),
    )
    return {"offer": offer, "picture": _picture(offer.uri)}


def set_up(visit: Visit) -> Response:
    """Take the secret that a code proves; show the recovery codes, once."""
    try:
        codes = second_factor.enrol(
            visit.conn,
            visit.desk.keyring,
            visit.who.member_id,
            visit.form.first("offer"),
            visit.said("code"),
            visit.now,
        )
    except InputRefused:
        raise Mend({"code": "login.code_wrong"}) from None
    visit.note("member", visit.who.member_id)
    return visit.page("recovery_codes", codes=codes)


def _picture(uri: str) -> Markup:
    out = io.BytesIO()
    # Black on white in the dark scheme, too: not every app reads it the other way round.
    segno.make(uri, error="m").save(
        out, kind="svg", border=4, omitsize=True, xmldecl=False, svgns=True, dark="#000", light="#fff",
        svgclass="qr", lineclass=None,
    )  # fmt: skip
    return Markup(out.getvalue().decode())  # noqa: S704  (made by segno of squares alone)
