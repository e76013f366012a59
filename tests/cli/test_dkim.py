"""`dispatcher dkim`: a key is made for its owner's eyes, published, set, and signs what the commands show."""

import stat
from pathlib import Path

import pytest

from dispatcher.db import clock
from tests import builders
from tests.cli.conftest import Run
from tests.stage import Stage
from tests.verifier import verified


def test_a_new_key_is_readable_for_its_owner_and_its_record_ready_to_paste(run: Run, outside: Path) -> None:
    ran = run("dkim", "new", "s2026", "-o", "dkim.pem")
    assert ran.code == 0
    file = outside / "dkim.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().startswith("-----BEGIN PRIVATE KEY-----\n")
    lines = ran.out.splitlines()
    at = lines.index("s2026._domainkey.news.example.de. IN TXT (")
    strings = [line.strip(' ")') for line in lines[at + 1 : at + 3]]
    assert "".join(strings).startswith("v=DKIM1; h=sha256; k=rsa; p=MII")
    assert len(strings[0]) == 255
    assert lines[-1] == f'DISPATCHER_DKIM="s2026:news.example.de:{file}"'
    assert "PRIVATE" not in ran.out


def test_the_records_of_the_keys_that_are_set_are_those_that_were_printed(
    run: Run, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [
        run("dkim", "new", "s2026", "-o", "a.pem", "--json").json,
        run("dkim", "new", "e1", "--algorithm", "ed25519", "--domain", "example.de", "-o", "b.pem", "--json").json,
    ]
    monkeypatch.setenv("DISPATCHER_DKIM", " ".join(new["setting"] for new in made))
    assert run("dkim", "record", "--json").json == {"records": [new["record"] for new in made]}
    printed = run("dkim", "record").out
    assert printed.count(". IN TXT (\n") == 2
    assert [new["record"]["name"] for new in made] == ["s2026._domainkey.news.example.de", "e1._domainkey.example.de"]
    assert all(f'"{piece}"' in printed for new in made for piece in new["record"]["strings"])


def test_without_keys_there_is_no_record(run: Run) -> None:
    assert run("dkim", "record").out == "; DISPATCHER_DKIM is not set: the relay has to sign\n"
    assert run("dkim", "record", "--json").json == {"records": []}


def test_a_key_is_never_overwritten(run: Run, outside: Path) -> None:
    (outside / "dkim.pem").write_text("precious", encoding="utf-8")
    what, cure = run("dkim", "new", "s2026", "-o", "dkim.pem").error
    assert what == "dkim.pem is there already"
    assert "name another file" in cure
    assert (outside / "dkim.pem").read_text() == "precious"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("s_1", "-o", "x.pem"), "names no key"),
        (("s1", "--domain", "localhost", "-o", "x.pem"), "names no key"),
        (("s1", "-o", "my key.pem"), "holds a blank"),
        (("s1", "-o", "nowhere/x.pem"), "nowhere/x.pem cannot be written"),
    ],
)
def test_what_could_not_be_set_is_not_made(run: Run, outside: Path, words: tuple[str, ...], what: str) -> None:
    said, cure = run("dkim", "new", *words).error
    assert what in said
    assert cure
    assert list(outside.glob("*.pem")) == []


def test_an_algorithm_that_dkim_does_not_know_is_a_wrong_command_line(run: Run) -> None:
    assert run("dkim", "new", "s1", "--algorithm", "dsa", "-o", "x.pem").code == 2


def test_a_preview_shows_the_letter_signed_as_it_will_leave(
    dispatcher: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    (maria,) = stage.add(1)
    with stage.engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, clock.now(conn))
    made = dispatcher("dkim", "new", "s2026", "-o", "dkim.pem", "--json").json
    monkeypatch.setenv("DISPATCHER_DKIM", made["setting"])
    raw = dispatcher("campaigns", "preview", campaign_id, "--for", maria).out
    record = made["record"]
    assert verified(raw.encode(), {record["name"]: record["value"]}) == [True]


def test_the_doctor_says_who_signs(dispatcher: Run, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def says() -> dict[str, object]:
        return next(part for part in dispatcher("doctor", "--json").json["parts"] if part["part"] == "dkim")

    made = dispatcher("dkim", "new", "s2026", "-o", "dkim.pem", "--json").json
    monkeypatch.setenv("DISPATCHER_DKIM", made["setting"])
    (outside / "dkim.pem").chmod(0o644)
    assert says()["says"] == (
        f"letters are signed by s2026 (rsa, news.example.de); every user here can read {outside}/dkim.pem"
    )
    monkeypatch.setenv("DISPATCHER_DKIM", made["setting"] + ".gone")
    assert says()["well"] is False


def test_no_worker_starts_with_a_key_that_it_cannot_use(dispatcher: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPATCHER_DKIM", "s2026:news.example.de:no.pem")
    for words in (["worker"], ["up"]):
        what, cure = dispatcher(*words).error
        assert what == "DISPATCHER_DKIM: no.pem cannot be read: No such file or directory"
        assert "rights" in cure
