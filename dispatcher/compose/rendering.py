"""How Jinja2 compiles what an edition holds: to text for the eye, and to pieces for the wire.

Jinja2 makes a generator of a template: whoever renders asks it for one piece after the other, and it asks its context
for each field by name. A macro is a function instead: it takes its fields as they are handed over, puts what it writes
into a list, as many pieces at once as follow one another, and gives what `concat` makes of the list. So the source of
what goes over the wire is compiled as a macro, and nothing is joined:

    {% macro letter(date, to) %}Date: {{ date }}...{% endmacro %}    ->    letter(date, to) == ["Date: ", date, ...]
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal, cast

from jinja2 import StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

_EDITIONS = 8  # an edition is compiled when it is looked over, released and sent


class Environment(ImmutableSandboxedEnvironment):
    """Its templates give text. They know their fields and these filters, and nothing else."""

    def __init__(self, filters: Mapping[str, Callable[[Any], object]], newline: Literal["\n", "\r\n"]) -> None:
        super().__init__(
            undefined=StrictUndefined,
            autoescape=False,  # each value passes the filter of its part, which escapes
            keep_trailing_newline=True,
            newline_sequence=newline,
        )
        self.globals.clear()
        self.filters.update(filters)


class PiecesEnvironment(Environment):
    """Its macros, and what its filters are given of a block, are lists of pieces."""

    concat = list  # type: ignore[assignment]


@lru_cache(maxsize=_EDITIONS)
def compiled(environment: Environment, source: str) -> Template:
    """Compile what gives text."""
    return environment.from_string(source)


@lru_cache(maxsize=_EDITIONS)
def compiled_to_pieces(
    environment: PiecesEnvironment, fields: tuple[str, ...], source: str
) -> Callable[..., list[str]]:
    """Compile what gives pieces: to a function of these fields, in this order."""
    template = environment.from_string(f"{{% macro letter({', '.join(fields)}) %}}{source}{{% endmacro %}}")
    # `_func` is the function itself. The Macro around it would sort named arguments from unnamed ones, for each letter.
    return cast("Callable[..., list[str]]", template.module.letter._func)  # type: ignore[attr-defined]
