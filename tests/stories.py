"""How many stories are drawn where hypothesis draws them: few in the suite, ten times as many at length.

    python -m pytest --hypothesis-profile=long tests/domain/test_walks.py       as `make torture` does

No test ends by the clock: on a busy machine any story may take a second.
"""

from hypothesis import HealthCheck, settings

_CLOCKED_OR_OURS = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)

settings.register_profile("short", deadline=None, max_examples=40, suppress_health_check=_CLOCKED_OR_OURS)
settings.register_profile("long", settings.get_profile("short"), max_examples=1000)
settings.load_profile("short")


def is_at_length() -> bool:
    """Claim that there is time."""
    return settings.get_current_profile_name() == "long"


def stories(usual: int) -> int:
    """Give how many are drawn where `usual` are in the suite."""
    return usual * 10 if is_at_length() else usual
