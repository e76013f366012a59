"""Who wrote a campaign, who released it, and what they answered for, on a terminal and for scripts."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape

from dispatcher.cli.context import out
from dispatcher.domain.newsletters.authors import Signature, Version, Who

_SHOWN = 5  # newest lines of each kind


def show(written: Sequence[Version], signed: Sequence[Signature]) -> None:
    """Print a line for each version and each release, the newest last."""
    for one in written[-_SHOWN:]:
        out.print(f"version {one.version} written by {_name(one.by)}, {one.at:%Y-%m-%d %H:%M} UTC")
    for given in signed[-_SHOWN:]:
        people = f", for {given.people:,} people" if given.people is not None else ""
        out.print(f"version {given.version} released by {_name(given.by)}, {given.at:%Y-%m-%d %H:%M} UTC{people}")
        for check, why in (given.despite or {}).items():
            out.print(f"  despite [yellow]{check}[/]: {escape(why)}")
        if given.ended_at is not None:
            out.print(f"  ended {given.ended_at:%Y-%m-%d %H:%M} UTC: {escape(given.ended_why or '')}")


def version_json(one: Version) -> dict[str, Any]:
    """Give a version for scripts."""
    return {"version": one.version, "at": one.at, "by": one.by.name}


def release_json(one: Signature) -> dict[str, Any]:
    """Give a release for scripts."""
    return {
        "version": one.version,
        "at": one.at,
        "by": one.by.name,
        "people": one.people,
        "despite": one.despite,
        "ended_at": one.ended_at,
        "ended_why": one.ended_why,
    }


def _name(by: Who) -> str:
    return escape(by.name or "nobody who is known")
