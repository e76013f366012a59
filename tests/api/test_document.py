"""The OpenAPI document: valid, complete, and enough for a generator to make a client that works."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from openapi_python_client import Config, MetaType, generate
from openapi_python_client.config import ConfigFile
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.api.program import MARIA, PLAIN, House, Program, on_sqlite

Part = Callable[[str], Any]


@pytest.fixture
def client(tmp_path: Path, served: tuple[House, str]) -> Iterator[Part]:
    """Generate a client from the document as it is served; give what imports a module of it."""
    house, _ = served
    document = tmp_path / "openapi.json"
    document.write_text(Program(house.app, None).ask("GET", "/openapi.json").text, encoding="utf-8")
    how = ConfigFile(post_hooks=[])
    config = Config.from_sources(how, MetaType.NONE, document, "utf-8", overwrite=True, output_path=tmp_path / "made")
    assert generate(config=config) == []  # no piece had to be left out
    sys.path.insert(0, str(tmp_path))
    yield lambda name: importlib.import_module(f"made.{name}" if name else "made")
    sys.path.remove(str(tmp_path))
    for name in [name for name in sys.modules if name == "made" or name.startswith("made.")]:
        del sys.modules[name]


@on_sqlite
def test_the_document_is_valid_names_every_problem_and_is_served_without_a_key(api_house: House) -> None:
    document = Program(api_house.app, None).get("/openapi.json")
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "https://news.example.de/api/v1"}]
    tags = {tag["name"] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
            assert set(operation["tags"]) <= tags
            assert {"500"} <= set(operation["responses"])
            assert "anyOf" not in json.dumps(operation.get("parameters", []))
    assert "HTTPValidationError" not in json.dumps(document)
    posts = {path for path, operations in document["paths"].items() if "post" in operations}
    looking = {f"/{name}" for name in ("subscribers/lookup", "suppressions/lookup")}
    looking |= {f"/campaigns/{{campaign_id}}/{name}" for name in ("preview", "check")}
    looking |= {"/feeds/{feed_id}/fetch"}
    for path in posts - looking:
        names = {parameter["name"] for parameter in document["paths"][path]["post"]["parameters"]}
        assert "Idempotency-Key" in names, path


@on_sqlite
def test_a_generated_client_does_a_days_work(client: Part, served: tuple[House, str]) -> None:
    house, url = served
    (josef,) = house.add("josef@example.de")
    made = client("client").AuthenticatedClient(base_url=url, token=house.program().key)
    models, calls = client("models"), "api.campaigns"
    draft = models.DraftSaid(
        topic=models.Topic.FINANCE_NEWS,
        subject="Gold",
        contents=[models.ContentSaid(source=PLAIN.replace("kaum", "kaum, [Name],"))],
    )
    with made:
        create = client(f"{calls}.create_campaign").sync
        key = str(uuid4())
        campaign = create(client=made, body=draft, idempotency_key=key)
        assert create(client=made, body=draft, idempotency_key=key) == campaign
        assert campaign.state is models.CampaignState.DRAFT
        report = client(f"{calls}.check_campaign").sync(campaign.id, client=made)
        leak = report.findings[0]
        assert (report.stops, leak.de.what) == (True, "„[Name]“ ist nicht ausgefüllt.")
        at = models.MomentSaid(at="2027-01-01T09:00", zone="Europe/Berlin")
        stopped = client(f"{calls}.schedule_campaign").sync(campaign.id, client=made, body=at)
        assert (stopped.status, stopped.findings) == (409, [leak])
        at.despite = [models.DespiteSaid(check=leak.check, because="it is the name of a film")]
        scheduled = client(f"{calls}.schedule_campaign").sync(campaign.id, client=made, body=at)
        assert f"{scheduled.send_at:%Y-%m-%d %H:%M}" == "2027-01-01 08:00"
        assert client(f"{calls}.list_campaigns").sync(client=made, limit=1).items == [scheduled]
        wish = models.WishSaid(address=MARIA, topics=[models.Topic.FINANCE_NEWS], source="shop")
        entered = client("api.subscribers.add_subscriber").sync(client=made, body=wish)
        assert entered.topics[0].fate == "asked"
        person = client("api.subscribers.get_subscriber").sync(josef, client=made)
        assert person.address == "josef@example.de"
        refused = client(f"{calls}.pause_campaign").sync(campaign.id, client=made)
        assert isinstance(refused, models.Problem)
        assert (refused.status, refused.cure) == (
            409,
            "from here it can become: cancelled, draft, preparing, scheduled",
        )
        assert client("api.state.get_key").sync(client=made).name == "shop"
