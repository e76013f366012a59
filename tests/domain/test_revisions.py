"""A draft is saved anew: of two editors the second is told who saved meanwhile, and nothing is overwritten."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Engine, update

from dispatcher.db import clock
from dispatcher.db.tables import campaign
from dispatcher.db.terms import CampaignState, Language
from dispatcher.domain.newsletters import authors, campaigns, revisions
from dispatcher.domain.newsletters.revisions import Revision
from dispatcher.domain.staff import audit
from dispatcher.errors import MoveRefused, NotFound, SavedMeanwhile
from tests import builders

ANNA, BERTA = audit.operator("anna"), audit.operator("berta")


def save(engine: Engine, campaign_id: int, said: Revision) -> int:
    with engine.begin() as conn:
        return revisions.edit(conn, campaign_id, said, clock.now(conn))


@pytest.fixture
def campaign_id(engine: Engine) -> int:
    with engine.begin() as conn:
        return builders.create_campaign(conn, clock.now(conn), by=ANNA)


def test_a_saving_replaces_what_it_names_and_notes_who_wrote_which_version(engine: Engine, campaign_id: int) -> None:
    assert save(engine, campaign_id, Revision(1, BERTA, name="Woche 49")) == 2
    files = {Language.EN: ("news.en.md", "english"), Language.DE: ("news.de.md", "deutsch")}
    assert save(engine, campaign_id, Revision(2, ANNA, subject="Silber", contents=files)) == 3
    with engine.begin() as conn:
        of = campaigns.get(conn, campaign_id)
        assert campaigns.contents(conn, campaign_id) == files
        written = [(one.version, one.by.name) for one in authors.versions(conn, campaign_id)]
    assert (of.name, of.subject, of.version, of.default_language) == ("Woche 49", "Silber", 3, Language.EN)
    assert written == [(1, "anna"), (2, "berta"), (3, "anna")]


def test_of_two_who_save_at_once_one_is_told_who_did_and_nothing_is_overwritten(
    engine: Engine, campaign_id: int
) -> None:
    together = Barrier(2)

    def run(by: audit.Actor) -> int | str:
        together.wait()
        try:
            return save(engine, campaign_id, Revision(1, by, subject=str(by.name)))
        except SavedMeanwhile as refused:
            return refused.what

    with ThreadPoolExecutor(2) as threads:
        came = list(threads.map(run, [ANNA, BERTA]))
    winner = (ANNA, BERTA)[came.index(2)]
    (told,) = [one for one in came if one != 2]
    assert str(told).startswith(
        f"campaign {campaign_id} is not saved: since version 1, which you read, {winner.name} saved version 2 ("
    )
    with engine.begin() as conn:
        assert campaigns.get(conn, campaign_id).subject == winner.name


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_only_a_draft_is_edited_and_only_a_version_that_there_is(engine: Engine, campaign_id: int) -> None:
    with pytest.raises(NotFound):
        save(engine, 4711, Revision(1, ANNA, "x"))
    with pytest.raises(MoveRefused, match="has no version 7 yet: it is at 1"):
        save(engine, campaign_id, Revision(7, ANNA, "x"))
    for state, cure in ((CampaignState.SCHEDULED, "take it back first"), (CampaignState.SENT, "enter a new one")):
        with engine.begin() as conn:
            conn.execute(update(campaign).values(state=state))
        with pytest.raises(MoveRefused, match=f"is {state}: only a draft can be edited") as refused:
            save(engine, campaign_id, Revision(1, ANNA, "x"))
        assert refused.value.cure.startswith(cure)
