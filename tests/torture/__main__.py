"""`make torture`: kills, crash points, faults and changes of mind, on both databases; then what came of it, in figures.

Exits with 1 when a figure that must be zero is not. The seed is printed; `--seed` strikes at the same moments again.
"""

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console

from dispatcher.bench.postgres import PostgresServer
from tests.torture import faults, house_faults, kills
from tests.torture.faults import Impossible, Scene
from tests.torture.ground import Databases
from tests.torture.scenes import Result, Totals
from tests.torture.show import Show

KINDS = ("sqlite", "postgresql")
PARTS = ("kills", "races", "faults", "house", "points")
_RACE_KILLS = 24
_SCENE_WEIGHT = 3  # a scene lasts about as long as so many kills
_AT_LENGTH = (
    "tests/torture/test_crash_points.py", "tests/domain/test_walks.py", "tests/domain/test_lives.py",
    "tests/smtp/test_breaker.py", "--hypothesis-profile=long",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What is asked for."""

    kinds: tuple[str, ...]
    kills: int
    lanes: tuple[int, ...]
    seed: int
    only: str
    parts: tuple[str, ...]

    def scenes(self, kind: str) -> list[Scene]:
        named = {"faults": faults.SCENES, "house": house_faults.SCENES}
        scenes = [scene for part, found in named.items() if part in self.parts for scene in found]
        return [scene for scene in scenes if kind in scene.kinds and self.only in scene.name]

    def hunts(self, part: str) -> bool:
        """Say whether this part of the kill loop is asked for."""
        return part in self.parts and self.only in {"", part}

    @property
    def size(self) -> int:
        each = self.kills * self.hunts("kills") + _RACE_KILLS * self.hunts("races")
        return sum(each + _SCENE_WEIGHT * len(self.scenes(kind)) for kind in self.kinds) + 20 * self.hunts("points")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--databases", default=",".join(KINDS), show_default=True, help="Which, with commas between.")
@click.option("--kills", "kill_count", default=200, show_default=True, help="kill -9 of workers, per database.")
@click.option("--lanes", default=",".join(map(str, kills.LANES)), show_default=True, help="Lanes of the kill loop.")
@click.option("--seed", type=int, help="As an earlier run printed it; default: a new one.")
@click.option("--only", default="", help="Only scenes whose name has this in it; or: kills, races, points.")
@click.option("--parts", default=",".join(PARTS), show_default=True, help="Which, with commas between.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures there too.")
def main(
    databases: str, kill_count: int, lanes: str, seed: int | None, only: str, parts: str, file: Path | None
) -> None:
    """Torture the engine, and count who was lost, doubled, or written to against their will."""
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    plan = Plan(
        _chosen(databases, KINDS), kill_count, tuple(int(word) for word in lanes.split(",")), seed, only,
        _chosen(parts, PARTS),
    )  # fmt: skip
    if not plan.size:
        raise click.UsageError(f"no scene of {parts} has {only!r} in its name")
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"seed {seed}: `python -m tests.torture --seed {seed}` strikes at the same moments again")
    with Show(console, plan.size) as show:
        totals = {kind: _torture(kind, plan, show) for kind in plan.kinds}
        dead_points = _die_at_points(plan, show)
    is_good = show.close(totals) and not dead_points
    if file:
        file.write_text(json.dumps(_as_json(seed, totals, dead_points), indent=2) + "\n")
    sys.exit(0 if is_good else 1)


def _torture(kind: str, plan: Plan, show: Show) -> Totals:
    totals = Totals()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torture-")))
        server = PostgresServer() if kind == "postgresql" else None
        if server is not None:
            stack.callback(server.remove)
        databases = Databases(kind, folder, server)
        for result in _results(databases, folder, plan, show):
            totals.add(result)
            show.row(kind, result)
    return totals


def _results(databases: Databases, folder: Path, plan: Plan, show: Show) -> Iterator[Result]:
    kind = databases.kind
    if plan.hunts("kills"):
        setups = kills.setups(kind, plan.lanes)
        yield from kills.kill_loop(databases, folder / "kills", setups, plan.kills, plan.seed, show.advance)
    if plan.hunts("races"):
        yield from kills.kill_loop(
            databases, folder / "races", kills.races(kind), _RACE_KILLS, plan.seed, show.advance
        )  # fmt: skip
    for number, scene in enumerate(plan.scenes(kind)):
        show.say(f"{kind}: {scene.name}")
        try:
            yield scene.play(databases, folder / f"scene-{number}")
        except Impossible as why:
            show.skip(kind, scene.name, str(why))
        show.advance(_SCENE_WEIGHT)


def _die_at_points(plan: Plan, show: Show) -> str:
    """Run the crash points and the stories, which are tests; give what failed, in words."""
    if not plan.hunts("points"):
        return ""
    show.say("crash points")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *_AT_LENGTH]
    choice = [] if len(plan.kinds) == len(KINDS) else ["-k", plan.kinds[0]]
    done = subprocess.run([*command, *choice], capture_output=True, text=True, check=False)
    show.advance(20)
    last = done.stdout.strip().splitlines()[-1]
    show.points(last)
    return "" if done.returncode == 0 else done.stdout


def _chosen(words: str, known: tuple[str, ...]) -> tuple[str, ...]:
    chosen = tuple(word.strip() for word in words.split(","))
    for word in chosen:
        if word not in known:
            raise click.BadParameter(f"{word!r} is none of: {', '.join(known)}")
    return chosen


def _as_json(seed: int, totals: dict[str, Totals], dead_points: str) -> dict[str, object]:
    figures: Callable[[Totals], dict[str, object]] = lambda t: {**asdict(t), "kinds": dict(t.kinds)}  # noqa: E731
    return {
        "seed": seed,
        "databases": {k: figures(t) for k, t in totals.items()},
        "crash_points": dead_points or "good",
    }


if __name__ == "__main__":
    main()
