"""A sign-up form to put into pages of the house: plain HTML, without a script, and how it looks.

What must stay true: it asks for an address and topics, and no more. The declaration is not copied into it, where it
would grow old: what is typed is handed on to our own sign-up page, which shows the words of that day, and where the
person asks for the confirmation mail. Nothing is stored before.
"""

from dispatcher.console.declare import Values, area, look
from dispatcher.console.visit import Visit
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import declarations
from dispatcher.domain.staff.roles import Permission


def show(visit: Visit) -> Values:
    """Give the HTML for the topics and the language that were chosen."""
    language = Language(visit.asked("lang")) if visit.asked("lang") in list(Language) else visit.language
    shown = declarations.current(visit.conn, language, visit.now)
    offered = list(shown.topics) if shown is not None else list(Topic)
    said = visit.request.query_params.getlist("topic")
    chosen = [topic for topic in offered if topic in said] or offered
    return {
        "form_language": language,
        "languages": list(Language),
        "offered": offered,
        "chosen": chosen,
        "code": visit.desk.paper.html(
            "embedded_form", language, topics=chosen, url=visit.desk.settings.public_url
        ).strip(),
    }


PAGES = area("consent", look("/consent/form", Permission.SEE_CONSENT, "consent_form", show))
