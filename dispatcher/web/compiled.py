"""What the templates of pages and console are compiled in. What must stay true: every value is escaped, and a name that
no one gave is an error.
"""

import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def environment(folder: Path, root: str, static: Path, files: dict[str, str]) -> Environment:
    """Give an environment for a folder of templates. `files`: by the name templates know them by, files of `static`,
    which is served under `root`; their URL names their content, so that browsers may keep them for ever.
    """
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["root"] = root
    for name, file in files.items():
        version = hashlib.sha256((static / file).read_bytes()).hexdigest()[:12]
        made.globals[name] = f"{root}/static/{file}?v={version}"
    return made
