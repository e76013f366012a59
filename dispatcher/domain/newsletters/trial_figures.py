"""What a trial of subjects has shown: pure, over the figures of each subject.

The one thing that is measured is who withdraws: of two subjects the one is better after which fewer leave. Few leave in
any case, so most differences are chance. A subject is clearly worse than the best where equal subjects would differ so
in fewer than one of twenty trials, all comparisons of a trial together: given how many left after either of the two,
how many of them left after the better one is binomial (Przyborowski and Wilenski, Biometrika 31, 1940).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST = 100  # letters of each subject: fewer prove nothing
CHANCE = 0.05


@dataclass(frozen=True, slots=True)
class Figures:
    """What became of the letters with one subject. `left`: who withdrew from the topic after it, in the wait."""

    variant: int
    people: int
    sent: int
    failed: int
    unknown: int
    left: int

    @property
    def rate(self) -> float:
        """Give which part of those who got it left."""
        return self.left / self.sent if self.sent else 0.0


def in_the_running(figures: Sequence[Figures]) -> list[int]:
    """Give the subjects that are not clearly worse than the best, in order. One: it is the winner. All: nothing is
    clear, or there were too few people.
    """
    if min(each.sent for each in figures) < FEWEST:
        return [each.variant for each in figures]
    best = min(figures, key=lambda each: (each.rate, each.variant))
    limit = CHANCE / (len(figures) * (len(figures) - 1))
    return [each.variant for each in figures if each is best or _by_chance(best, each) > limit]


def _by_chance(better: Figures, worse: Figures) -> float:
    """Give how probable so few readers of the better one, or fewer, among those who left were, were both alike."""
    left, part = better.left + worse.left, better.sent / (better.sent + worse.sent)
    return sum(_binomial(left, count, part) for count in range(better.left + 1))


def _binomial(of: int, count: int, part: float) -> float:
    ways = math.lgamma(of + 1) - math.lgamma(count + 1) - math.lgamma(of - count + 1)
    return math.exp(ways + count * math.log(part) + (of - count) * math.log1p(-part))
