"""The OpenAPI document, complete: what the framework makes of the routes, with every problem that an operation can end
in, and with each kind of problem explained.
"""

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path
from fastapi.openapi.utils import get_openapi
from pydantic import Field

from dispatcher.api import problems
from dispatcher.api.problems import KINDS, Problem
from dispatcher.api.shapes import Told
from dispatcher.errors import NotFound

DESCRIPTION = """For programs. Keys are made with `dispatcher keys create` and sent as `Authorization: Bearer KEY`.

A POST that changes something takes an `Idempotency-Key`: repeated within a day, the request is done once and gets the
same answer. Lists come in pages: `next` of one is the `cursor` of the next. Whatever goes wrong is told as
`application/problem+json` (RFC 9457), with `detail` (what happened) and `cure` (what to do). No path holds an
address."""

TAGS = [
    {"name": "campaigns", "description": "Newsletters: enter, preview, schedule, run, account for."},
    {"name": "feeds", "description": "News from elsewhere that fill a series."},
    {"name": "subscribers", "description": "People, where they stand, and their letters."},
    {"name": "suppressions", "description": "The never-mail list, which wins over every consent."},
    {"name": "imports", "description": "Files of people: handed in, looked over, imported."},
    {"name": "consent", "description": "The words people agree to, and the ledger of consent."},
    {"name": "rights", "description": "What people may ask of us by law, served and entered in the log."},
    {"name": "webhooks", "description": "Endpoints that are told what happens here, and what was sent to them."},
    {"name": "state", "description": "Is everything well, and what may this key do?"},
]
_ALWAYS = (401, 403, 429, 500, 503)
_WITH_BODY = (400, 413, 415, 422)
_PROBLEM = {"$ref": "#/components/schemas/Problem"}

router = APIRouter(tags=["state"])


class KindTold(Told):
    """A kind of problem."""

    title: str
    status: int
    about: str = Field(description="When it comes.")


@router.get("/problems/{kind}", operation_id="get_problem_kind")
def explain(kind: Annotated[str, Path(max_length=40, pattern="^[a-z-]+$")]) -> KindTold:
    """Explain a kind of problem. Needs no key."""
    if kind not in KINDS:
        raise NotFound(f"there is no kind of problem {kind[:40]!r}", f"there are: {', '.join(KINDS)}")
    found = KINDS[kind]
    return KindTold(title=found.title, status=found.status, about=found.about)


def make_document(app: FastAPI) -> dict[str, Any]:
    """Make the document of an application, once."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    made = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags,
        servers=app.servers, openapi_version="3.1.0",
    )  # fmt: skip
    components = made["components"]
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    whole = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components["schemas"] |= {**whole.pop("$defs"), "Problem": whole}
    components["responses"] = {str(status): _response(status) for status in sorted({k.status for k in KINDS.values()})}
    for path, operations in made["paths"].items():
        for operation in operations.values():
            _complete(path, operation)
    app.openapi_schema = made
    return made


def _complete(path: str, operation: dict[str, Any]) -> None:
    operation["summary"] = operation["description"].partition(". ")[0].rstrip(".")
    responses = operation["responses"]
    responses.pop("422", None)
    for parameter in operation.get("parameters", ()):
        _leave_null_out(parameter["schema"])
    open_ = path.startswith("/problems/")
    statuses = [404, 422, 500] if open_ else list(_ALWAYS)
    if "requestBody" in operation:
        statuses += _WITH_BODY
    if "parameters" in operation and not open_:
        statuses += [422]
    if "{" in path or "lookup" in path or "requestBody" in operation:
        statuses += [404]
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ())) or "/rate" in path:
        statuses += [409]
    for status in sorted(set(statuses)):
        responses[str(status)] = {"$ref": f"#/components/responses/{status}"}


def _leave_null_out(schema: dict[str, Any]) -> None:
    """A parameter that is not sent is not there; none can be sent as null."""
    kinds = [kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}]
    for kind in kinds:
        schema |= kind


def _response(status: int) -> dict[str, Any]:
    kinds = {name: kind for name, kind in KINDS.items() if kind.status == status}
    described = " ".join(f"`{name}`: {kind.about}" for name, kind in kinds.items())
    made: dict[str, Any] = {"description": described, "content": {problems.MEDIA_TYPE: {"schema": _PROBLEM}}}
    headers = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
    if status in headers:
        made["headers"] = {headers[status]: {"schema": {"type": "string"}}}
    return made
