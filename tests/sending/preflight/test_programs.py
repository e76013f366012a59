"""What mail programs cannot show: by a file in the shape of caniemail's data."""

import json
from pathlib import Path
from typing import Any

import pytest

from dispatcher.sending.preflight.findings import Severity
from dispatcher.sending.preflight.programs import check_programs, read_features
from tests.sending.preflight.conftest import Open
from tests.web.visitor import on_sqlite


def feature(slug: str, **stats: dict[str, dict[str, str]]) -> dict[str, Any]:
    return {"slug": slug, "title": slug.upper(), "stats": {name.replace("_", "-"): s for name, s in stats.items()}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    entries = [
        feature("css-line-height", gmx={"desktop-webmail": {"2020-01": "y", "2024-01": "n #1"}, "ios": {"2020": "y"}}),
        feature("css-border-radius", outlook={"windows": {"2019": "n"}}),  # falls back by itself
        feature("css-font-size", outlook={"windows": {"2007": "n", "2019": "y"}}),  # newer ones can
        feature("css-position", gmail={"ios": {"2020": "n"}}),  # no letter of ours uses it
        feature("html-p", laposte={"ios": {"2020": "n"}}, t_online_de={"desktop-webmail": {"2020": "n"}}),
    ]
    path = tmp_path / "caniemail.json"
    path.write_text(
        json.dumps({"nicenames": {"family": {"gmx": "GMX", "t-online-de": "T-online.de"}}, "data": entries})
    )
    return path


@on_sqlite
def test_what_a_letter_uses_and_a_program_does_not_show_is_told(lay: Open, file: Path) -> None:
    told = [(f.severity, f.values["feature"], f.values["programs"]) for f in check_programs(lay(caniemail=file))]
    assert told == [
        (Severity.WARN, "CSS-LINE-HEIGHT", "GMX (desktop-webmail)"),
        (Severity.WARN, "HTML-P", "T-online.de"),
    ]


@on_sqlite
@pytest.mark.parametrize("text", ["", "[]", '{"data": [{}]}', '{"data": 7, "nicenames": {"family": {}}}'])
def test_a_file_that_is_none_is_told_and_stops_nothing(lay: Open, file: Path, text: str) -> None:
    file.write_text(text)
    (finding,) = check_programs(lay(caniemail=file))
    assert (finding.name, finding.severity) == ("no_data", Severity.WARN)


@on_sqlite
def test_without_the_file_that_is_told(lay: Open, tmp_path: Path) -> None:
    assert [f.name for f in check_programs(lay())] == ["off"]
    assert [f.name for f in check_programs(lay(caniemail=tmp_path / "gone.json"))] == ["no_data"]


def test_a_feature_that_nobody_tested_is_not_lacking(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"nicenames": {"family": {}}, "data": [feature("css-x", gmx={"ios": {}})]}))
    assert read_features(path)["css-x"].lacking == frozenset()
