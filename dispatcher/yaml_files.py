"""Reads the YAML files that travel with the code: the words of pages, letters and findings.

libyaml reads them in a tenth of the time that PyYAML itself takes; there is a third of a megabyte of them. What is
handed in is never read like this: libyaml goes down into nested YAML until the process dies.
"""

from pathlib import Path
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may have been built without libyaml


def read(path: Path) -> Any:
    """Give what a file of ours holds."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506  (either is a safe loader)
