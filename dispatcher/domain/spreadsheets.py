"""Cells that a spreadsheet program must not take for formulas (CSV injection). What must stay true: `bare` undoes
`guarded`, whatever the cell was, so that a file of ours comes back as it was.
"""

import re

# A cell that begins so is a formula to some program; an apostrophe before it makes it text. Cells that begin with
# apostrophes and go on like that get one too, or `bare` could not tell them apart.
_FORMULA = re.compile(r"'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")


def guarded(cell: str) -> str:
    """Give the cell so that no spreadsheet program calculates with it."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def bare(cell: str) -> str:
    """Give the cell that `guarded` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
