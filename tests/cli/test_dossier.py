"""`dispatcher consent dossier` and `check`: made from the ledger, checked with nothing but the file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.db.terms import Topic
from dispatcher.domain.proof import seal
from dispatcher.domain.tokens import Keyring
from tests import builders
from tests.cli.conftest import Run

MARIA = "maria@xn--bcher-kva.example.de"


@pytest.fixture
def maria(engine: Engine, keyring: Keyring) -> int:
    with engine.begin() as conn:
        now = clock.now(conn)
        who = builders.add_people(conn, keyring, [MARIA], now)[MARIA]
        builders.agree(conn, [who], Topic.FINANCE_NEWS, now)
    return who


@pytest.mark.usefixtures("maria")
@pytest.mark.parametrize("spelling", [MARIA, "MARIA@BÜCHER.Example.DE", "maria@bücher.example.de"])
def test_a_dossier_is_made_under_every_spelling_for_this_users_eyes_and_checks(
    dispatcher: Run, outside: Path, spelling: str
) -> None:
    made = dispatcher("consent", "dossier", spelling, "-o", "d.html", "--json", "d.json", "--language", "en")
    assert made.code == 0
    assert "1 event, 0 letters; sealed by key" in made.out
    for file in ("d.html", "d.json"):
        assert (outside / file).stat().st_mode & 0o077 == 0
        checked = dispatcher("consent", "check", file)
        assert checked.code == 3  # whoever sealed it: nobody said which key is known
        assert f"{file}: unchanged since signed by key " in checked.out
        assert "whose it is was not checked" in checked.out
    assert "Dossier on the consent" in (outside / "d.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("maria")
def test_a_file_that_others_could_read_or_a_link_does_not_decide_who_reads_the_dossier(
    dispatcher: Run, outside: Path
) -> None:
    (outside / "d.html").write_text("old", encoding="utf-8")
    (outside / "d.html").chmod(0o644)
    (outside / "elsewhere.json").write_text("not ours", encoding="utf-8")
    (outside / "d.json").symlink_to(outside / "elsewhere.json")
    assert dispatcher("consent", "dossier", MARIA, "-o", "d.html", "--json", "d.json").code == 0
    for file in ("d.html", "d.json"):
        assert (outside / file).lstat().st_mode & 0o777 == 0o600
        assert not (outside / file).is_symlink()
    assert (outside / "elsewhere.json").read_text(encoding="utf-8") == "not ours"
    assert [path.name for path in outside.iterdir() if path.name.startswith(".d.")] == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # of which the file was made
@pytest.mark.usefixtures("maria")
def test_a_check_needs_neither_settings_nor_database(dispatcher: Run, outside: Path) -> None:
    dispatcher("consent", "dossier", MARIA, "-o", "d.html")
    bare = {name: value for name, value in os.environ.items() if not name.startswith("DISPATCHER_")}
    (outside / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "dispatcher", "consent", "check", "../d.html"],
        env={**bare, "DISPATCHER_DATABASE_URL": "nonsense", "DISPATCHER_SMTP_URL": "nonsense"},
        cwd=outside / "elsewhere", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (3, "")
    assert list((outside / "elsewhere").iterdir()) == []


@pytest.mark.usefixtures("maria")
def test_one_other_character_in_what_is_read_or_in_the_data_is_found(dispatcher: Run, outside: Path) -> None:
    dispatcher("consent", "dossier", MARIA, "-o", "d.html", "--json", "d.json")
    for file, old, new in (
        ("d.html", "Übernahme aus einer Datei, mit Nachweis", "Übernahme aus einer Datei, mit Nachweiß"),
        ("d.html", '"kind":"imported"', '"kind":"confirmed"'),
        ("d.json", '"kind":"imported"', '"kind":"confirmed"'),
    ):
        text = (outside / file).read_text(encoding="utf-8")
        assert old in text
        (outside / "forged").write_text(text.replace(old, new), encoding="utf-8")
        what, cure = dispatcher("consent", "check", "forged").error
        assert what == "forged is not as it was sealed: its content, its key or its signature was changed after signing"
        assert cure == "ask its issuer for the original file"


@pytest.mark.usefixtures("maria")
def test_a_key_that_is_known_beforehand_tells_whose_seal_it_is(
    dispatcher: Run, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher("consent", "dossier", MARIA, "-o", "ours.html")
    seal.make(outside / "another.pem")
    monkeypatch.setenv("DISPATCHER_SEAL_KEY", str(outside / "another.pem"))
    dispatcher("consent", "dossier", MARIA, "-o", "theirs.html")
    known = outside / "known.pem"
    lines = (outside / "ours.html").read_text(encoding="utf-8").splitlines()
    (key,) = [line.removeprefix("key ") for line in lines if line.startswith("key ")]
    known.write_text(f"-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n", encoding="ascii")

    ours = dispatcher("consent", "check", "ours.html", "--key", known)
    assert ours.code == 0
    assert f"which is the key of {known}" in ours.out
    assert dispatcher("consent", "check", "theirs.html").code == 3
    printed = dispatcher("consent", "public-key")
    (outside / "theirs.pem").write_text(printed.out, encoding="ascii")
    assert dispatcher("consent", "check", "theirs.html", "--key", "theirs.pem").code == 0
    what, _ = dispatcher("consent", "check", "theirs.html", "--key", known).error
    assert f"but that is not the key of {known}" in what
    what, _ = dispatcher("consent", "check", "ours.html", "--key", outside / "ours.html").error
    assert "holds no public key" in what


def test_of_an_unknown_address_it_is_said_what_its_hash_is_known_for(
    dispatcher: Run, engine: Engine, keyring: Keyring, outside: Path
) -> None:
    what, cure = dispatcher("consent", "dossier", "tom@example.de", "-o", "d.html").error
    assert what == "nobody here has the address tom@example.de; nothing is held under its keyed hash"
    assert "check the spelling" in cure
    with engine.begin() as conn:
        builders.suppress(conn, keyring, ["tom@example.de"], clock.now(conn))
    dispatcher("subscribers", "rights", "add", "tom@example.de", "--kind", "access")
    what, _ = dispatcher("consent", "dossier", "tom@example.de", "-o", "d.html").error
    assert "its keyed hash stands on the never-mail list (all: complaint since 20" in what
    assert "the log of rights has 1 request under it" in what
    assert not (outside / "d.html").exists()


@pytest.mark.usefixtures("maria")
def test_bad_input_ends_in_two_lines(dispatcher: Run, outside: Path) -> None:
    assert "after the @-sign" in dispatcher("consent", "dossier", "maria@", "-o", "d.html").error[0]
    assert "cannot be written" in dispatcher("consent", "dossier", MARIA, "-o", "no/such/folder.html").error[0]
    (outside / "news.html").write_text("<!DOCTYPE html><p>Something else", encoding="utf-8")
    assert "bears no seal" in dispatcher("consent", "check", "news.html").error[0]
    (outside / "x.json").write_text(json.dumps({"dossier": {}}), encoding="utf-8")
    assert "no sealed JSON" in dispatcher("consent", "check", "x.json").error[0]
    assert dispatcher("consent", "check", "nowhere.html").code == 2
