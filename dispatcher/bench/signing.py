"""What DKIM costs a letter: the bare signature of a key, and all that is done besides."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

from dispatcher.compose.dkim import Signer
from dispatcher.compose.dkim_key import Algorithm, SigningKey, make_pem, read_pem

_TIMES = 2500
_SIGNED = bytes(1500)  # about what a signature is made over: the head of a letter


@dataclass(frozen=True, slots=True)
class SigningCost:
    """Microseconds a letter, the least of many: what is besides is a twentieth of an RSA signature, and would be lost
    in a mean of what was disturbed.
    """

    algorithm: str
    signature_us: float
    besides_us: float


def signing_costs(letter: bytes) -> list[SigningCost]:
    """Sign a letter as it is on the wire, by each algorithm."""
    return [_cost(letter, algorithm) for algorithm in Algorithm]


def bare_signature_us() -> float:
    """Give what an RSA-2048 signature takes here: a figure by which one machine is held against another."""
    key = SigningKey("bench", "example.de", read_pem(make_pem(Algorithm.RSA)))
    return _least_us(lambda: key.sign(_SIGNED))


def _cost(letter: bytes, algorithm: Algorithm) -> SigningCost:
    key = SigningKey("bench", "example.de", read_pem(make_pem(algorithm)))
    signer, now = Signer([key]), datetime.now(UTC)
    signature = _least_us(lambda: key.sign(_SIGNED))
    whole = _least_us(lambda: signer.sign(letter, now, is_relaxed=True))
    return SigningCost(algorithm, signature, whole - signature)


def _least_us(work: Callable[[], object]) -> float:
    return min(_once_s(work) for _ in range(_TIMES)) * 1e6


def _once_s(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began
