"""`dispatcher web`: what it does beside serving."""

import threading

from dispatcher.cli.web import MOST_CALLS, Caller


def test_in_a_flood_of_sign_ups_workers_are_called_so_often_a_second_and_the_tick_finds_the_rest() -> None:
    called: list[int] = []
    moment = [7.0]
    caller = Caller(called.append, lambda: moment[0])
    for campaign_id in range(2 * MOST_CALLS):
        caller.call(campaign_id)
    moment[0] = 8.0
    caller.call(1000)
    caller.close()
    assert called == [*range(MOST_CALLS), 1000]


def test_a_broker_that_does_not_answer_keeps_no_sign_up_waiting() -> None:
    answers = threading.Event()
    moment = [0.0]
    caller = Caller(lambda _: answers.wait(60), lambda: moment[0])
    for second in range(10):
        moment[0] = second
        for campaign_id in range(MOST_CALLS):
            caller.call(campaign_id)
    answers.set()
    caller.close()
