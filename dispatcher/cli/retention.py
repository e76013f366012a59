"""`dispatcher retention`: what is kept for how long, what the next run would let go of, and what the last ones did."""

import click
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from dispatcher.cli.context import Context, make_table, out, pass_context, print_json
from dispatcher.counting import counted
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.domain import retention as rules
from dispatcher.domain.retention import Due, Step
from dispatcher.sending import house, keeping
from dispatcher.sending.keeping import Run

_WHAT = {
    Step.REQUESTS: "requests that nobody confirmed",
    Step.UNCONFIRMED: "sign-ups that nobody confirmed",
    Step.LISTED: "imported people who never confirmed",
    Step.OLDER: "consent under older words that was not renewed",
    Step.PROFILES: "names and addresses of who left",
    Step.PROOFS: "proofs of consents that ended",
    Step.ATTEMPTS: "attempts at the sign-up form",
    Step.ANSWERS: "answers that the API keeps",
    Step.WEBHOOKS: "what endpoints of webhooks were told",
    Step.UPLOADS: "files that were handed in, and rows that could not be read",
    Step.DELIVERIES: "who got which old letter",
    Step.RIGHTS: "requests by right that were answered",
    Step.RUNS: "notes of retention",
}


@click.group()
def retention() -> None:
    """How long things are kept, and letting go of them. A worker does it once a day by itself."""


@retention.command()
@click.option("--json", "as_json", is_flag=True)
@pass_context
def plan(context: Context, as_json: bool) -> None:
    """Show each period with its reason, and what a run would let go of now."""
    periods = house.retention(context.settings)
    with reading(context.engine).connect() as conn:
        planned = rules.plan(conn, periods, clock.now(conn))
    if as_json:
        print_json({"plan": [_facts(due) for due in planned]})
        return
    table = make_table("what, and why so long", "kept for", "due", "oldest (UTC)", right=("due",))
    for due in planned:
        oldest = f"{due.oldest:%Y-%m-%d %H:%M}" if due.oldest else ""
        what = f"{_WHAT[due.step]} ({due.period})\n[dim]{escape(due.rule.reason)}[/]"
        table.add_row(what, str(due.rule), f"{due.rows:,}", oldest)
    out.print(table)
    out.print("next: dispatcher retention run")


@retention.command()
@click.option("--json", "as_json", is_flag=True)
@pass_context
def run(context: Context, as_json: bool) -> None:
    """Let go of what has had its time, now. To stop it and to run it again is harmless."""
    periods = house.retention(context.settings)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rows]}"))
    with Progress(*columns, console=out, transient=True, disable=as_json) as bar:
        work = bar.add_task("retention", total=len(Step), rows="")

        def tell(stands: Run) -> None:
            name = _WHAT[stands.step] if stands.step else "done"
            rows = counted(sum(stands.counts.values()), "row")
            bar.update(work, completed=stands.steps_done, description=name, rows=rows)

        done = keeping.run_now(context.engine, periods, "operator, command line", tell)
    if as_json:
        print_json(_ran(done))
        return
    table = make_table("what", "rows", right=("rows",))
    for step in Step:
        table.add_row(_WHAT[step], f"{done.counts.get(step, 0):,}")
    out.print(table)


@retention.command("log")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def log_(context: Context, as_json: bool) -> None:
    """Show the last runs: when, why, and of how many rows each step let go."""
    with reading(context.engine).connect() as conn:
        runs = keeping.newest(conn)
    if as_json:
        print_json({"runs": [_ran(each) for each in runs]})
        return
    table = make_table("started (UTC)", "", "by", "rows")
    for each in runs:
        took = each.finished_at - each.started_at if each.finished_at else None
        stands = f"in {took.total_seconds():,.0f} s" if took is not None else f"is at {each.step}"
        counts = ", ".join(f"{each.counts[step]:,} {step}" for step in Step if each.counts.get(step))
        table.add_row(f"{each.started_at:%Y-%m-%d %H:%M}", stands, escape(each.origin), counts or "none")
    out.print(table)


def _facts(due: Due) -> dict[str, object]:
    return {
        "step": due.step,
        "period": due.period,
        "kept_for": str(due.rule),
        "least": f"{due.rule.least}{due.rule.unit}",
        "most": f"{due.rule.most}{due.rule.unit}",
        "why": due.rule.reason,
        "rows": due.rows,
        "oldest": due.oldest,
    }


def _ran(run: Run) -> dict[str, object]:
    return {
        "id": run.id,
        "by": run.origin,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "step": run.step,
        "rows": {step.value: run.counts.get(step, 0) for step in Step},
    }
