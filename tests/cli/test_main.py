"""The command itself: its errors, its help, its doctor, and the schema."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from dispatcher.cli.main import _COMMANDS, cli
from tests.cli.conftest import Run


def _commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    ctx = click.Context(group, **cli.context_settings)
    found = []
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += _commands(command, (*path, name))
    return found


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_the_help_of_every_command_explains_it_in_a_sentence(run: Run, words: tuple[str, ...]) -> None:
    ran = run(*words, "--help")
    assert ran.code == 0
    usage, _, text = ran.out.partition("\n\n")
    assert usage.startswith(f"Usage: dispatcher {' '.join(words)}")
    assert " ".join(text.partition("Options:")[0].split("\n\n")[0].split()).endswith(".")


def test_the_list_of_commands_says_of_each_what_it_says_of_itself(run: Run) -> None:
    listed = " ".join(run("--help").out.partition("Commands:")[2].split())
    for (name,) in [words for words in _commands() if len(words) == 1]:
        command = cli.get_command(click.Context(cli, **cli.context_settings), name)
        assert command is not None
        purpose = _COMMANDS[name][1]
        assert f" {name} {purpose}" in f" {listed}"
        assert (command.help or "").startswith(purpose.removesuffix("."))


def test_to_list_the_commands_nothing_is_loaded_that_only_they_need() -> None:
    listing = "import sys; from dispatcher.cli.main import cli; cli(['--help'], standalone_mode=False)"
    heavy = "assert not {'sqlalchemy', 'alembic', 'structlog', 'rich', 'starlette'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", f"{listing}; {heavy}"], stdout=subprocess.DEVNULL, timeout=60, check=True)


def test_help_and_version_need_no_settings_and_no_database(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPATCHER_LOG", "nonsense")
    assert "dispatcher demo" in run("-h").out
    assert run("--version").out.startswith("dispatcher ")


def test_an_unknown_command_ends_with_2(run: Run) -> None:
    assert run("sendmail").code == 2
    assert "No such command 'sendmail'" in run("sendmail").err


def test_a_wrong_setting_ends_every_command_in_two_lines(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPATCHER_SMPT_URL", "smtp://127.0.0.1:25")
    for words in (["campaigns", "list"], ["db", "upgrade"], ["subscribers", "show", "maria@example.de"]):
        what, cure = run(*words).error
        assert what == "DISPATCHER_SMPT_URL: there is no such setting"
        assert cure == "did you mean DISPATCHER_SMTP_URL?"


def test_a_database_that_is_away_is_named_without_its_password(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPATCHER_DATABASE_URL", "postgresql://dispatcher:geheim@127.0.0.1:1/x")
    what, cure = run("campaigns", "list").error
    assert "127.0.0.1:1" in what
    assert "geheim" not in what
    assert "DISPATCHER_DATABASE_URL" in cure


def test_a_database_that_is_not_up_to_date_says_how_to_bring_it_there(run: Run, outside: Path) -> None:
    what, cure = run("campaigns", "list").error
    assert "the database is at revision none" in what
    assert cure == "run: dispatcher db upgrade"
    upgraded = run("db", "upgrade")
    assert upgraded.code == 0
    assert "(was: empty)" in upgraded.out
    assert "(was:" not in run("db", "upgrade").out
    assert run("campaigns", "list").code == 0


def test_a_key_that_went_missing_stops_every_command_that_would_need_it(
    dispatcher: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dispatcher("campaigns", "list").code == 0
    monkeypatch.setenv("DISPATCHER_SECRET_KEYS", f"k9:{'ab' * 32}")
    what, cure = dispatcher("campaigns", "list").error
    assert what.startswith("DISPATCHER_SECRET_KEYS: the key 'k")
    assert cure.startswith("put it back")


def test_a_file_that_is_no_database_ends_in_two_lines(run: Run, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (outside / "x.db").write_text("this is no database " * 100, encoding="utf-8")
    monkeypatch.setenv("DISPATCHER_DATABASE_URL", f"sqlite:///{outside}/x.db")
    what, _cure = run("campaigns", "list").error
    assert "file is not a database" in what


def test_an_error_that_looks_like_markup_is_printed_as_it_is(run: Run, outside: Path) -> None:
    what, _cure = run("campaigns", "create", "--topic", "[/b]\\[x]", "--subject", "x", "--content", "x.md").error
    assert what == "there is no topic '[/b]\\\\[x]'"


def _doctor(run: Run, *words: str) -> tuple[int, dict[str, dict[str, object]]]:
    ran = run("doctor", "--json", *words)
    said = ran.json
    assert said["well"] is (ran.code == 0)
    return ran.code, {part["part"]: part for part in said["parts"]}


def test_the_doctor_names_each_part_that_is_away_with_its_cure_and_hides_no_other(dispatcher: Run) -> None:
    code, parts = _doctor(dispatcher)
    assert code == 1
    assert {name: part["well"] for name, part in parts.items()} == {
        "settings": True,
        "database": True,
        "broker": False,
        "endings": True,
        "keys": True,
        "dkim": True,
        "seal": True,
        "relay 127.0.0.1:8025": False,
        "workers": True,
        "breaker": True,
        "work": True,
        "campaigns": True,
        "rights": True,
        "webhooks": True,
    }
    assert "campaigns start late, but complete" in str(parts["broker"]["cure"])
    assert parts["dkim"]["says"] == "off: the relay has to sign"


@pytest.mark.both_databases
@pytest.mark.parametrize("url", ["postgresql://dispatcher:geheim@127.0.0.1:1/x", "sqlite:///x.db"])
def test_the_doctor_stands_a_database_that_is_away_or_is_none(
    run: Run, outside: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    (outside / "x.db").write_text("this is no database " * 100, encoding="utf-8")
    monkeypatch.setenv("DISPATCHER_DATABASE_URL", url)
    code, parts = _doctor(run)
    assert code == 1
    assert [name for name in ("database", "keys", "work") if parts[name]["well"]] == []
    assert all(part["cure"] for part in parts.values() if not part["well"])
    assert "geheim" not in str(parts)


def test_the_doctor_says_which_setting_is_wrong(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPATCHER_LOG", "xml")
    code, parts = _doctor(run)
    assert code == 1
    assert list(parts) == ["settings"]
    shown = run("doctor")
    assert shown.code == 1
    assert "not well" in shown.out
    assert "use text or json" in shown.out


def test_the_doctor_asks_for_the_schema_to_be_brought_up_to_date(
    run: Run, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPATCHER_DATABASE_URL", f"sqlite:///{outside}/x.db")
    parts = _doctor(run, "--quick")[1]
    assert set(parts) == {"settings", "database", "broker"}
    assert parts["database"]["cure"] == "run: dispatcher db upgrade"
