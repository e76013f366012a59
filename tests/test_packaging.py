"""What a user installs: the wheel carries everything that runs, and the lock files pin all of it by hash.

One wheel is built for the whole file, with the build backend that the lock brings, so nothing is fetched.
"""

import csv
import itertools
import re
import runpy
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from dispatcher.domain.addresses import parse_address

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ["requirements.lock", "requirements-dev.lock", "requirements-compile.lock"]
_PIN = re.compile(
    r"^([a-z0-9-]+)==(\S+)(?: ; (.+?))? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _project() -> dict[str, list[str]]:
    """The requirements of pyproject.toml by the lock file that must pin them."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    run = [*told["project"]["dependencies"], *told["build-system"]["requires"]]
    groups = told["dependency-groups"]
    dev = [*(one for one in groups["dev"] if isinstance(one, str)), *groups["compile"]]
    return dict(zip(LOCKS, [run, dev, groups["compile"]], strict=True))


def _pins(lock: str) -> dict[str, Version]:
    return {name: Version(version) for name, version, *_ in _PIN.findall((ROOT / lock).read_text(encoding="utf-8"))}


def test_the_wheel_carries_every_file_that_the_running_program_reads(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "dispatcher").rglob("*") if _is_source(path)}
    templates = {
        "dispatcher/" + path.relative_to(ROOT).as_posix()
        for path in (ROOT / "templates").rglob("*")
        if _is_source(path)
    }
    assert "dispatcher/demo/people.csv" in code
    assert any(name.startswith("dispatcher/db/migrations/versions/") for name in code)
    assert any(name.endswith("/body.html") for name in templates)
    assert inside == code | templates


def _is_source(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def test_the_wheel_needs_what_the_project_says_and_bears_its_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(metadata).decode()
        licences = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"\nVersion: {told['version']}\n" in text
    assert f"\nRequires-Python: {told['requires-python']}\n" in text
    needed = {str(Requirement(line)) for line in re.findall(r"^Requires-Dist: (.+)$", text, re.MULTILINE)}
    assert needed == {str(Requirement(line)) for line in told["dependencies"]}
    assert len(licences) == 1


def test_the_installed_wheel_runs_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    """In a venv of its own, which borrows the libraries of this one but not the checkout."""
    home = tmp_path / "venv"
    venv.create(home, symlinks=True)
    python = home / "bin/python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    _pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    # A bare line in a .pth file adds the folder, but does not run the .pth files in it, as the editable install's is.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(*command: str) -> str:
        return subprocess.run(command, cwd=elsewhere, check=True, capture_output=True, text=True).stdout

    shown = run(str(home / "bin/dispatcher"), "--help")
    place = run(str(python), "-c", "import dispatcher.assets as a; print(a.PACKAGE); print(a.templates())").split()

    assert {"demo", "web", "worker"} <= set(shown.split())
    assert place == [str(site / "dispatcher"), str(site / "dispatcher" / "templates")]
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_every_requirement_within_its_range(lock: str) -> None:
    pins = _pins(lock)
    for requirement in map(Requirement, _project()[lock]):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, f"make lock: {requirement}"


def test_the_locks_agree() -> None:
    for one, other in itertools.combinations(map(_pins, LOCKS), 2):
        assert {name: (one[name], other[name]) for name in one.keys() & other.keys() if one[name] != other[name]} == {}


def test_what_is_compiled_is_there() -> None:
    groups = runpy.run_path(str(ROOT / "tools" / "compile"))["GROUPS"]
    names = [name for group in groups.values() for name in group.split()]
    assert [name for name in names if not (ROOT / "dispatcher" / f"{name}.py").is_file()] == []
    assert len(names) == len(set(names))
    assert "smtp/relays" not in names  # mypyc forgets `from None`, behind which a relay's password is kept there


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_is_a_pin_with_hashes_or_a_comment(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    rest = [line for line in _PIN.sub("", text).splitlines() if not line.lstrip().startswith("#")]
    assert rest == []  # so no address of an index, no folder of wheels, no option
    assert "make lock" in text.splitlines()[1]


def test_the_people_of_the_demo_are_a_thousand_different_ones() -> None:
    people = _people()
    assert len({parse_address(person["email"]).canonical for person in people}) == len(people) == 1000
    assert {person["language"] for person in people} == {"de", "en"}
    assert any(not person["email"].isascii() for person in people)


def test_the_lists_of_the_demo_name_people_who_would_else_be_mailed() -> None:
    confirmed = {person["email"] for person in _people() if person["consent_at"]}
    withdrawn, suppressed = (_addresses(f"{name}.txt") for name in ("withdrawn", "suppressed"))
    assert (len(withdrawn), len(suppressed)) == (40, 25)
    assert withdrawn | suppressed <= confirmed
    assert not withdrawn & suppressed


def _people() -> list[dict[str, str]]:
    with (ROOT / "dispatcher/demo/people.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _addresses(name: str) -> set[str]:
    lines = (ROOT / "dispatcher/demo" / name).read_text(encoding="utf-8").splitlines()
    return {line for line in lines if not line.startswith("#")}
