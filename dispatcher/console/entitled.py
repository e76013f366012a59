"""A campaign's subjects as pages show them: as a reader of a made-up name gets them, fields filled."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dispatcher.console.declare import Moment
from dispatcher.db.terms import Language
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.errors import ContentInvalid, InputRefused
from dispatcher.sending import house as houses
from dispatcher.sending.subjects import Report, Subject, rendered, report


def subjects(moment: Moment, of: Campaign) -> Mapping[Language, Sequence[str]]:
    """Give the subjects of each language; none: there is no content, or it cannot be composed any more."""
    if of.renews is not None:
        return {}
    settings = moment.desk.settings
    house, papers = houses.house(settings), houses.stationery(settings, signs=False)
    try:
        return rendered(moment.conn, of, house, papers, moment.now)
    except (ContentInvalid, InputRefused):
        return {}


def trial(moment: Moment, of: Campaign) -> Report | None:
    """Tell how a trial of subjects stands; None: there is one subject."""
    found = report(moment.conn, of, moment.now)
    if found is None:
        return None
    texts = subjects(moment, of)
    return replace(found, subjects=tuple(_entitled(each, no, texts) for no, each in enumerate(found.subjects)))


def _entitled(of: Subject, no: int, texts: Mapping[Language, Sequence[str]]) -> Subject:
    """Give it as it reads; as it was written where it cannot be composed."""
    return replace(of, texts={language: each[no] for language, each in texts.items() if no < len(each)} or of.texts)
