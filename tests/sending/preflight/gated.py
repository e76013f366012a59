"""A house whose pages are up, with drafts that nothing stops: for what is said of the gate."""

from dataclasses import replace

from dispatcher.db import clock
from dispatcher.db.terms import CampaignState, Language
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.staff import audit
from dispatcher.sending.preflight.examination import Desk, lay_open
from dispatcher.sending.preflight.gate import Order, Released, release_campaign
from tests import builders
from tests.stage import Stage
from tests.web_server import Says, WebServer

ANNA, BERTA, CLARA = (audit.operator(name) for name in ("anna", "berta", "clara"))
PLAIN = builders.CONTENT.replace("[Mehr dazu](https://www.example.de/gold)", "Mehr bald")


def desk_for(stage: Stage, web: WebServer) -> Desk:
    """Look campaigns over for a house whose pages are up."""
    url = web.url("")
    stage.stationery = replace(stage.stationery, public_url=url)
    stage.house = replace(stage.house, public_url=url, imprint_url=f"{url}/impressum", privacy_url=f"{url}/privacy")
    return Desk(stage.stationery, stage.house)


def draft(stage: Stage, desk: Desk, web: WebServer, text: str = PLAIN) -> int:
    """Enter a draft whose one-click button works."""
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        campaign_id = builders.create_campaign(conn, now, content=text)
        exam = lay_open(conn, campaign_id, desk, now, None)
    link = exam.looks[Language.DE].fields.unsubscribe_url
    web.pages[link.removeprefix(web.url(""))] = Says()
    return campaign_id


def order(campaign_id: int, **changed: object) -> Order:
    return replace(Order(campaign_id, None, "UTC", BERTA, {}), **changed)  # type: ignore[arg-type]


def state(stage: Stage, campaign_id: int) -> CampaignState:
    with stage.engine.begin() as conn:
        return campaigns.get(conn, campaign_id).state


def released(stage: Stage, desk: Desk, web: WebServer) -> int:
    stage.add(2)
    campaign_id = draft(stage, desk, web)
    assert isinstance(release_campaign(stage.engine, order(campaign_id), desk), Released)
    return campaign_id
