"""From a signed link to the person it belongs to."""

from sqlalchemy import Connection
from starlette.requests import Request

from dispatcher.domain import tokens
from dispatcher.domain.people import subscribers
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.tokens import Keyring, Link, Purpose
from dispatcher.errors import TokenInvalid


def of_link(conn: Connection, keyring: Keyring, purpose: Purpose, request: Request) -> tuple[Link, Subscriber]:
    """Read the token in a page's path. Raises TokenInvalid, the same for a wrong token and for nobody."""
    link = tokens.verify(keyring, purpose, request.path_params["token"])
    person = subscribers.by_public_id(conn, link.public_id)
    if person is None:
        raise TokenInvalid("this link is not valid")
    return link, person
