"""Passwords. What must stay true: only an argon2id hash is stored (ASVS 11.4.2); whoever names an account that does not
exist waits as long as whoever gives a wrong password.
"""

import threading
from collections.abc import Sequence
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 10
LONGEST = 200  # more would let a stranger keep us busy
_GUESSES = 10**9  # zxcvbn: stands attempts against a slow hash
_READ = 72  # characters that zxcvbn looks at; its work grows with the square

# 19 MiB and two passes, as OWASP's sheet on storing passwords has it.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_AT_ONCE = threading.BoundedSemaphore(4)  # hashes take memory, and strangers may ask for as many as they like


def make_hash(password: str) -> str:
    """Give the hash that is stored."""
    with _AT_ONCE:
        return _HASHER.hash(password)


def is_right(stored: str | None, password: str) -> bool:
    """Compare; takes as long for an account that does not exist (None) as for one that does."""
    if len(password) > LONGEST:
        password = ""
    try:
        with _AT_ONCE:
            _HASHER.verify(stored or _nobodys(), password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def is_dated(stored: str) -> bool:
    """Claim that a hash was made with weaker parameters than today's."""
    return _HASHER.check_needs_rehash(stored)


def weakness(password: str, about: Sequence[str]) -> str | None:
    """Say why a password will not do: `short`, `long` or `guessable`; None: it will. `about` are words that somebody
    who knows the person would try.
    """
    from zxcvbn import zxcvbn  # its lists of common passwords weigh 12 MB, and are needed when one is set only

    if len(password) < SHORTEST:
        return "short"
    if len(password) > LONGEST:
        return "long"
    words = [part for word in about for part in (word, *word.replace("@", " ").replace(".", " ").split())]
    return None if zxcvbn(password[:_READ], user_inputs=words)["guesses"] >= _GUESSES else "guessable"


@cache
def _nobodys() -> str:
    return _HASHER.hash("nobody has this password")
