"""Who wrote a campaign and who released it: what counts as a second pair of eyes."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, update

from dispatcher.db import clock
from dispatcher.db.tables import campaign
from dispatcher.db.terms import ActorKind
from dispatcher.domain.newsletters import authors, releases
from dispatcher.domain.newsletters.releases import Binding, Preflight
from dispatcher.domain.staff import audit
from dispatcher.domain.staff.audit import NOBODY, Actor
from dispatcher.errors import FourEyesLacking
from tests import builders

ANNA, BERTA, SHOP = audit.operator("Anna Berg"), audit.operator("Berta"), Actor(ActorKind.KEY, name="anna  BERG")
HASHES = Binding(*(bytes(32) for _ in range(4)))


# What happened, one after the other: w(rote) or r(eleased), by whom; and who may release then.
@pytest.mark.parametrize(
    ("story", "may"),
    [
        ([("w", ANNA)], {BERTA}),
        ([("w", ANNA), ("w", BERTA)], set()),
        ([("w", ANNA), ("r", BERTA)], {ANNA, BERTA, SHOP}),  # what both have seen
        ([("w", ANNA), ("r", BERTA), ("w", BERTA)], {ANNA, SHOP}),
        ([("w", ANNA), ("r", ANNA)], {BERTA}),  # while four eyes were not asked for
        ([("w", ANNA), ("r", SHOP), ("w", BERTA)], set()),  # one name, at the command line and as a key
        ([("w", ANNA), ("r", NOBODY)], {BERTA}),
        ([("w", NOBODY)], set()),
        ([("w", NOBODY), ("r", BERTA), ("w", ANNA)], set()),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_whoever_wrote_what_nobody_else_released_does_not_release(
    engine: Engine, story: list[tuple[str, Actor]], may: set[Actor]
) -> None:
    with engine.begin() as conn:
        now = clock.now(conn)
        campaign_id = builders.create_campaign(conn, now, by=story[0][1])
        version = 1
        for what, by in story[1:]:
            now += timedelta(seconds=1)
            if what == "w":
                version += 1
                conn.execute(update(campaign).values(version=version))
                authors.note(conn, campaign_id, version, by, now)
                continue
            releases.enter(conn, campaign_id, version, HASHES, now)
            held = releases.holding(conn, campaign_id)
            assert held is not None
            if by != NOBODY:
                seen = Preflight(0, campaign_id, now, now, HASHES, 3, ())
                number = releases.enter_preflight(conn, seen)
                releases.sign(conn, held, Preflight(number, campaign_id, now, now, HASHES, 3, ()), by, {})
        able = set()
        for by in (ANNA, BERTA, SHOP):
            try:
                authors.require_other_eyes(conn, campaign_id, by)
            except FourEyesLacking:
                continue
            able.add(by)
    assert able == may
