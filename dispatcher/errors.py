"""Our few errors. Each says what happened and what to do; an entrance prints both, in two lines.

    DispatcherError
    |-- SettingInvalid      a setting is missing or wrong; the start stops
    |-- InputRefused        something a person gave cannot be taken
    |   |-- ContentInvalid  a content file or template, with file and line
    |   |-- AddressInvalid  an e-mail address
    |   |-- FilterRefused   a filter of an audience, with field and kind of fault
    |   `-- TokenInvalid    a link that we did not make, or that was altered, or is used up
    |-- NotFound            no such campaign, subscriber, ...
    |-- MoveRefused         a campaign is not in a state that allows this
    |   |-- SavedMeanwhile  somebody saved a draft since it was read
    |   |-- ReleaseOutdated what was released is not what stands there now
    |   `-- FourEyesLacking whoever releases it wrote it
    |-- RelayDown           a relay cannot be used; nothing was sent
    |-- LedgerBroken        an event of the consent ledger is not what was written
    `-- PartUnavailable     database, broker, port: a part of the house is away

Expected outcomes (a refused recipient, a withheld letter) are values, not errors: see smtp/verdict.py.
"""


class DispatcherError(Exception):
    """What happened, and the cure."""

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cure = cure


class SettingInvalid(DispatcherError):
    """A setting is missing or wrong. `name` is the environment variable."""

    def __init__(self, name: str, what: str, cure: str) -> None:
        super().__init__(f"{name}: {what}", cure)
        self.name = name


class InputRefused(DispatcherError):
    """Something a person gave cannot be taken."""


class ContentInvalid(InputRefused):
    """A content file or a template is wrong at `line` (from 1; 0 = the file as a whole)."""

    def __init__(self, file: str, line: int, what: str, cure: str = "") -> None:
        place = f"{file}, line {line}" if line else file
        super().__init__(f"{place}: {what}", cure)
        self.file = file
        self.line = line


class AddressInvalid(InputRefused):
    """Not an e-mail address that can be mailed."""


class FilterRefused(InputRefused):
    """A filter of an audience is none. `key` names the fault, and `field` where it is (None: the filter as a whole)."""

    def __init__(self, key: str, field: str | None, what: str, cure: str) -> None:
        super().__init__(what, cure)
        self.key = key
        self.field = field


class TokenInvalid(InputRefused):
    """A link that is not ours, was altered, or is used up. Says nothing more, on purpose."""


class NotFound(DispatcherError):
    """The thing named does not exist."""


class MoveRefused(DispatcherError):
    """The campaign is not in a state from which this is allowed."""


class SavedMeanwhile(MoveRefused):
    """Somebody saved a draft since the version that was read; nothing was overwritten."""


class ReleaseOutdated(MoveRefused):
    """A campaign, its templates, the house's words or its audience changed after the release."""


class FourEyesLacking(MoveRefused):
    """Whoever releases a campaign wrote it, and nobody else has seen it."""


class RelayDown(DispatcherError):
    """A relay cannot be used: refused, closed, timed out, no TLS, wrong password. Nothing was sent on it."""


class LedgerBroken(DispatcherError):
    """The consent ledger does not verify: somebody changed it past the code that writes it."""


class PartUnavailable(DispatcherError):
    """A part of the house (database, broker, port) is away."""
