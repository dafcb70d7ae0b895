"""Photos of every format, mode, orientation and profile with every oddity, cleaned and held against other readers."""

from __future__ import annotations

import logging

from tests.chaos.report import Report
from tests.unit.imaging.any_file import faults, specs

#: Of all combinations a quick run takes one in so many.
_QUICK_STEP = 97


def run(report: Report, *, quick: bool = False) -> None:
    """Go through them all."""
    # ExifRead speaks of every text that is no UTF-8.
    logging.getLogger("exifread").setLevel(logging.ERROR)
    for spec in list(specs())[:: _QUICK_STEP if quick else 1]:
        try:
            wrong = "; ".join(faults(spec))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
            wrong = f"{type(error).__name__}: {error}"
        report.checked("files", str(spec), wrong=wrong)
