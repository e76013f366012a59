"""The key scenes of the fault matrix; `make torture` plays all of them, on both databases."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.torture import house_faults
from tests.torture.faults import SCENES, Scene
from tests.torture.ground import Databases

KEY = [(scene, scene.kinds[index % len(scene.kinds)]) for index, scene in enumerate(s for s in SCENES if s.is_key)]


@pytest.mark.parametrize(("scene", "kind"), KEY, ids=[f"{scene.name}, {kind}" for scene, kind in KEY])
def test_after_a_fault_everyone_is_accounted_for(
    databases: Callable[[str], Databases], tmp_path: Path, scene: Scene, kind: str
) -> None:
    assert scene.play(databases(kind), tmp_path / "scene").findings == ()


def test_every_scene_has_a_name_of_its_own() -> None:
    names = [scene.name for scene in [*SCENES, *house_faults.SCENES]]
    assert len(set(names)) == len(names)
