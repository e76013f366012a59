"""Where a setting comes from: the environment, a file that it names, a TOML file. Nothing else reads the first."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from dispatcher.errors import SettingInvalid

PREFIX = "DISPATCHER_"
NAMES: dict[str, str] = {
    "DATABASE_URL": "sqlite:////path/file.db or postgresql://user:password@host/name",
    "BROKER_URL": "redis://:password@host:6379/0",
    "SMTP_URL": "smtp://user:password@host:port?tls=starttls&lanes=16; several, in order of preference, by blanks",
    "PUBLIC_URL": "where recipients reach the pages, https://news.example.de",
    "SECRET_KEYS": "id:hex, several by blanks; the first signs, the last must stay for ever",
    "SENDER": 'From: "Beispiel Edelmetalle" <news@news.example.de>',
    "BOUNCE_DOMAIN": "the domain of return-paths, bounce.example.de",
    "DKIM": "selector:domain:file.pem, several by blanks: letters are signed with each; without it the relay signs",
    "SEAL_KEY": "a PEM file with the Ed25519 key that signs proofs of consent; default: seal_key.pem under var, made",
    "ENDINGS": "the file of what must outlive a restore, best on another disk; default: endings.jsonl under var",
    "IMPRESSUM": "a Markdown file with the legal notice that stands in every letter",
    "TRUSTED_PROXIES": "addresses or networks of proxies whose X-Forwarded-For is believed, by blanks",
    "MX_LOOKUP": "on, or the address of a resolver: whose mail servers take a domain's mail is looked up; default: off",
    "INTERNAL_HOSTS": "hosts (or host:port) that may be requested although their address is not public, by blanks",
    "SPAM_CHECK": "spamd://host:783 or rspamd://host:11333: who says how a letter will be scored; default: nobody",
    "CANIEMAIL": "the file caniemail.json: what mail programs can show; default: not looked up",
    "FOUR_EYES": "on: whoever releases a campaign is not who wrote it; default: off",
    "RETENTION": "periods other than the usual, by blanks: unconfirmed=7d; `dispatcher retention plan` shows all",
    "CONSOLE_TOTP": "who needs a second factor at the console: off, senders (who may send, erase or invite), everyone",
    "UPLOADS": "the folder of files that were handed in, shared by pages and workers; default: uploads under var",
    "UPLOAD_LIMIT": "how large such a file may be, in megabytes; default: 256",
    "VAR": "folder of the embedded parts; default: var",
    "CONFIG": "a TOML file with settings; default: dispatcher.toml, if there is one",
    "LOG": "text or json; default: text on a terminal, else json",
}


def environment(config: Path | None = None, **also: str) -> dict[str, str]:
    """Give the process's environment for a child: as ours is, or with nothing of ours but this configuration file.

    `also` are settings by name (NAMES) that are set for the child besides.
    """
    if config is None:
        return {**os.environ, **{PREFIX + name: value for name, value in also.items()}}
    bare = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {**bare, f"{PREFIX}CONFIG": str(config)}


def in_ci() -> bool:
    """Say whether this runs in continuous integration, where nothing may be skipped."""
    return os.environ.get("CI") == "true"


def gather(environ: Mapping[str, str] | None, folder: Path) -> dict[str, str]:
    """Collect what is set, by name; `environ` stands in for the process's own environment. Raises SettingInvalid."""
    environ = os.environ if environ is None else environ
    variables, files = dict[str, str](), dict[str, str]()
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or not value.strip():
            continue
        name = variable.removeprefix(PREFIX)
        if name in NAMES:
            variables[name] = value.strip()
        elif name.endswith("_FILE") and name.removesuffix("_FILE") in NAMES:
            files[name.removesuffix("_FILE")] = _from_file(variable, value)
        else:
            raise SettingInvalid(variable, "there is no such setting", _nearest(name))
    return _from_toml(environ, folder) | files | variables


def _from_toml(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    named = environ.get(f"{PREFIX}CONFIG")
    path = folder / (named or "dispatcher.toml")
    if not named and not path.is_file():
        return {}
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingInvalid(f"{PREFIX}CONFIG", f"{path} cannot be read: {error.strerror}", "name another") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingInvalid(f"{PREFIX}CONFIG", f"{path} is not TOML: {error}", "mend that line") from None
    given = {}
    for key, value in entries.items():
        if key.upper() not in NAMES:
            raise SettingInvalid(f"{key} in {path.name}", "there is no such setting", _nearest(key.upper()))
        if not isinstance(value, str):
            raise SettingInvalid(f"{key} in {path.name}", "is not a text", "put it in quotes")
        if value.strip():
            given[key.upper()] = value.strip()
    return given


def _from_file(variable: str, path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingInvalid(variable, f"{path} cannot be read: {error.strerror}", "check path and rights") from None
    except UnicodeDecodeError:
        raise SettingInvalid(variable, f"{path} is not UTF-8", "write it anew as plain text") from None
    if not text:
        raise SettingInvalid(variable, f"{path} is empty", "write the value into it")
    return text


def _nearest(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, NAMES, n=1)
    known = ", ".join(PREFIX + n for n in NAMES)
    return f"did you mean {PREFIX}{close[0]}?" if close else f"there are: {known}"
