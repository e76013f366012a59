"""What DKIM costs a letter: the bare signature of a key, and all that is done besides."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median, quantiles
from time import perf_counter

from dispatcher.compose.dkim import Signer
from dispatcher.compose.dkim_key import Algorithm, SigningKey, make_pem, read_pem

_PAIRS = 600  # of blocks, one behind the other: what disturbs the machine for longer disturbs both
_BLOCK = 4  # letters
_SIGNED = bytes(1500)  # about what a signature is made over: the head of a letter


@dataclass(frozen=True, slots=True)
class SigningCost:
    """Microseconds a letter. A block of signatures alone and a block of letters signed whole take turns: `signature_us`
    is the median of the first, `besides_us` the median of the differences in each pair, and a quarter of the
    differences lies below `besides_quarter_us`: far from the median on a disturbed machine.
    """

    algorithm: str
    signature_us: float
    besides_us: float
    besides_quarter_us: float


def signing_costs(letter: bytes) -> list[SigningCost]:
    """Sign a letter as it is on the wire, by each algorithm."""
    return [_cost(letter, algorithm) for algorithm in Algorithm]


def bare_signature_us() -> float:
    """Give what an RSA-2048 signature takes here: a figure by which one machine is held against another."""
    key = SigningKey("bench", "example.de", read_pem(make_pem(Algorithm.RSA)))
    return median(_block_us(lambda: key.sign(_SIGNED)) for _ in range(_PAIRS))


def _cost(letter: bytes, algorithm: Algorithm) -> SigningCost:
    key = SigningKey("bench", "example.de", read_pem(make_pem(algorithm)))
    signer, now = Signer([key]), datetime.now(UTC)
    alone, besides = [], []
    for pair in range(_PAIRS):
        signature, whole = _pair_us(
            lambda: key.sign(_SIGNED),
            lambda: signer.signatures(letter, now, is_relaxed=True),
            turned=pair % 2 == 1,
        )
        alone.append(signature)
        besides.append(whole - signature)
    return SigningCost(algorithm, median(alone), median(besides), quantiles(besides)[0])


def _pair_us(one: Callable[[], object], other: Callable[[], object], *, turned: bool) -> tuple[float, float]:
    """Measure a block of each; every second time the other first, for the second finds the caches warm."""
    if turned:
        second, first = _block_us(other), _block_us(one)
        return first, second
    return _block_us(one), _block_us(other)


def _block_us(work: Callable[[], object]) -> float:
    began = perf_counter()
    for _ in range(_BLOCK):
        work()
    return (perf_counter() - began) / _BLOCK * 1e6
