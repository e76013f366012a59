"""`dispatcher providers`, and what the campaigns' commands say of rates and providers."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from dispatcher.db import clock
from dispatcher.db.tables import mailbox_provider
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.rates import slowdowns
from dispatcher.domain.rates.providers import Provider
from dispatcher.domain.rates.slowdowns import Advice, Place
from tests import builders
from tests.cli.conftest import Run
from tests.stage import Stage


def _listed(dispatcher: Run) -> dict[str, dict[str, object]]:
    return {facts["key"]: facts for facts in dispatcher("providers", "list", "--json").json["providers"]}


@pytest.mark.both_databases
def test_list_shows_every_provider_with_its_people(dispatcher: Run, stage: Stage) -> None:
    stage.add(3)
    with stage.engine.begin() as conn:
        builders.add_people(conn, stage.keyring, ["anna@gmail.com"], clock.now(conn))
    listed = _listed(dispatcher)
    assert set(listed) == set(Provider)
    assert (listed["google"]["people"], listed["other"]["people"], listed["yahoo"]["people"]) == (1, 3, 0)
    assert (listed["google"]["rate_per_min"], listed["google"]["is_preset"]) == (None, True)
    shown = dispatcher("providers", "list").out
    assert "GMX and WEB.DE" in shown
    assert "no limit" in shown


def test_a_rate_is_set_and_taken_back(dispatcher: Run) -> None:
    assert dispatcher("providers", "set", "google", "--rate", "6000").out == (
        "google gets at most 6,000 letters a minute, over each relay\n"
    )
    assert (_listed(dispatcher)["google"]["rate_per_min"], _listed(dispatcher)["google"]["is_preset"]) == (6000, False)
    assert "6,000" in dispatcher("providers", "list").out
    dispatcher("providers", "set", "google", "--rate", "none")
    assert _listed(dispatcher)["google"]["rate_per_min"] is None
    assert dispatcher("providers", "reset", "google").out == "google gets as many letters as can be again\n"
    assert _listed(dispatcher)["google"]["is_preset"] is True


@pytest.mark.parametrize("rate", ["fast", "-1", "0", "1.5", "10000001", "٣"])
def test_what_is_no_rate_is_refused_with_the_cure(dispatcher: Run, rate: str) -> None:
    what, cure = dispatcher("providers", "set", "google", f"--rate={rate}").error
    assert "rate" in what
    assert "none" in cure


def test_a_provider_that_does_not_exist_is_refused(dispatcher: Run) -> None:
    for words in (["set", "gmail", "--rate", "1"], ["pause", "gmail"], ["resume", "gmail"], ["reset", "gmail"]):
        assert dispatcher("providers", *words).error[0] == "there is no mailbox provider 'gmail'"


def test_a_pause_lasts_until_it_is_over_or_taken_back(dispatcher: Run, engine: Engine) -> None:
    dispatcher("providers", "pause", "t-online")
    dispatcher("providers", "pause", "yahoo", "--minutes", 120)
    shown = dispatcher("providers", "list").out
    assert "t-online paused\n" in shown
    assert "yahoo paused until 20" in shown
    assert _listed(dispatcher)["t-online"]["paused_until"] == "9999-01-01 00:00:00+00:00"
    dispatcher("providers", "resume", "t-online")
    assert _listed(dispatcher)["t-online"]["paused_until"] is None
    with engine.begin() as conn:
        long_ago = builders.long_ago(conn)
        conn.execute(mailbox_provider.update().values(paused_until=long_ago))
        assert conn.execute(select(mailbox_provider.c.key)).scalars().all()
    assert "paused" not in dispatcher("providers", "list").out


def test_what_a_providers_answers_made_of_its_rate_is_shown_and_can_be_taken_back(
    dispatcher: Run, engine: Engine
) -> None:
    relay = "smtp.example.de:587"
    with engine.begin() as conn:
        now = clock.now(conn)
        slowdowns.heed(conn, Place(relay, "google"), Advice("421 4.7.28 [unusual] rate"), None, now)
        slowdowns.heed(conn, Place(relay, "yahoo"), Advice("421 [TSS04]", stop=timedelta(hours=2)), None, now)
    listed = _listed(dispatcher)
    assert listed["google"]["relays"] == [
        {"relay": relay, "rate_per_min": 3000, "paused_until": None, "reason": "421 4.7.28 [unusual] rate"}
    ]
    shown = dispatcher("providers", "list").out
    assert f"google over {relay}: slowed to 3,000 a minute: 421 4.7.28 [unusual] rate" in shown
    assert f"yahoo over {relay}: paused until" in shown
    dispatcher("providers", "resume", "yahoo")
    assert "slowed to 3,000 a minute: 421 [TSS04]" in dispatcher("providers", "list").out
    dispatcher("providers", "reset", "yahoo")
    assert _listed(dispatcher)["yahoo"]["relays"] == []


def test_a_campaign_is_created_with_a_rate_and_gets_another_while_it_runs(
    dispatcher: Run, outside: Path, stage: Stage
) -> None:
    file = outside / "news.de.md"
    file.write_text(builders.CONTENT, encoding="utf-8")
    words = ["--topic", "finance-news", "--subject", "Gold", "--content", file]
    campaign_id = dispatcher("campaigns", "create", *words, "--rate", 600, "--json").json["id"]
    with stage.engine.begin() as conn:
        assert campaigns.get(conn, campaign_id).rate_per_min == 600
    assert dispatcher("campaigns", "rate", campaign_id, "1200").out == (
        f"campaign {campaign_id} sends at most 1,200 letters a minute\n"
    )
    assert dispatcher("campaigns", "rate", campaign_id, "none").code == 0
    with stage.engine.begin() as conn:
        assert campaigns.get(conn, campaign_id).rate_per_min is None
    assert "rate" in dispatcher("campaigns", "create", *words, "--rate", 0).error[0]
    assert dispatcher("campaigns", "rate", 4711, "1").error[0] == "there is no campaign 4711"


def test_status_takes_a_campaign_apart_when_asked(dispatcher: Run, stage: Stage) -> None:
    stage.add(2)
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        (anna,) = builders.add_people(conn, stage.keyring, ["anna@gmail.com"], now).values()
        builders.agree(conn, [anna], builders.Topic.FINANCE_NEWS, now)
    campaign_id = stage.campaign()
    shown = dispatcher("campaigns", "status", campaign_id, "--by", "provider").out
    assert "google" in shown
    counted = dispatcher("campaigns", "status", campaign_id, "--by", "provider", "--json").json
    parts = {part["name"]: part["remaining"] for part in counted["by_provider"]}
    assert (counted["audience"], parts) == (3, {"other": 2, "google": 1})
    assert "by_relay" in dispatcher("campaigns", "status", campaign_id, "--by", "relay", "--json").json
    assert "by_provider" not in dispatcher("campaigns", "status", campaign_id, "--json").json
