"""`dispatcher web`: what it does beside serving."""

from dispatcher.cli.web import MOST_CALLS, Caller


def test_in_a_flood_of_sign_ups_workers_are_called_so_often_a_second_and_the_tick_finds_the_rest() -> None:
    called: list[int] = []
    moment = [7.0]
    caller = Caller(called.append, lambda: moment[0])
    for campaign_id in range(2 * MOST_CALLS):
        caller.call(campaign_id)
    assert called == list(range(MOST_CALLS))
    moment[0] = 8.0
    caller.call(1000)
    assert called[-1] == 1000
