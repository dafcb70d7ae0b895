"""The README's tables, made from what they speak of: ``python -m local.dev.readme`` writes them anew.

A test holds the README against this, so a reason, parameter or photograph cannot be added without its row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cleanplate.errors import (
    CleanplateError,
    InquiryError,
    JobMovedOnError,
    NotAnnouncedError,
    PostponedError,
    SettingsError,
)
from local.demo.photographs import CREDITS
from local.embedded_aws.template import read_yaml, resources
from local.paths import TEMPLATE

README = Path(__file__).resolve().parents[2] / "README.md"
#: They end nobody's photo: two are control flow, one comes after the end, the last are of a folder and of the stack.
_NO_REASONS = (PostponedError, JobMovedOnError, NotAnnouncedError, InquiryError, SettingsError)


def _leaves(kind: type[CleanplateError]) -> Iterator[type[CleanplateError]]:
    if kind in _NO_REASONS:
        return
    below = kind.__subclasses__()
    if not below:
        yield kind
    for sub in below:
        yield from _leaves(sub)


def reasons() -> str:
    """Every reason that a photo can fail for, as a table."""
    rows = ["| reason | what it means | what to do |", "|---|---|---|"]
    for kind in _leaves(CleanplateError):
        meaning = (kind.__doc__ or "").strip().splitlines()[0].replace("|", "\\|")
        rows.append(f"| `{kind.__name__}` | {meaning} | {kind.what_to_do} |")
    return "\n".join(rows)


def _variables(template: dict[str, Any]) -> dict[str, Any]:
    found = dict(template["Globals"]["Function"]["Environment"]["Variables"])
    for _, function in resources(template, "AWS::Serverless::Function"):
        found |= function.get("Environment", {}).get("Variables", {})
    return found


def settings() -> str:
    """Every stack parameter and every environment variable of the functions, as a table."""
    template = read_yaml(TEMPLATE)
    variables = _variables(template)
    names = {value["Ref"]: name for name, value in variables.items() if isinstance(value, dict) and "Ref" in value}
    rows = ["| parameter | variable | default | meaning |", "|---|---|---|---|"]
    for parameter, about in template["Parameters"].items():
        variable = f"`{names[parameter]}`" if parameter in names else "-"
        default = f"`{about['Default']}`" if str(about.get("Default", "")) else "-"
        rows.append(f"| `{parameter}` | {variable} | {default} | {about['Description']} |")
    parameters = {name for parameter, name in names.items() if parameter in template["Parameters"]}
    rows += [f"| - | `{name}` | - | Set by the stack itself |" for name in variables if name not in parameters]
    return "\n".join(rows)


def credits_of_photographs() -> str:
    """Whose photographs the samples are."""
    rows = ["| photograph | by | licence | from |", "|---|---|---|---|"]
    rows += [
        f"| {credit.title} | {credit.author} | {credit.licence} | [{credit.package}]({credit.source}) |"
        for credit in CREDITS.values()
    ]
    return "\n".join(rows)


_TABLES: dict[str, Callable[[], str]] = {
    "reasons": reasons,
    "settings": settings,
    "credits": credits_of_photographs,
}


def render(text: str) -> str:
    """The README's text with its tables as they ought to be."""
    for name, table in _TABLES.items():
        text, found = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda match, table=table: f"{match[1]}{table()}\n{match[2]}",  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
        if found != 1:
            raise ValueError(f"README.md has no place for the table '{name}'.")
    return text


if __name__ == "__main__":
    README.write_text(render(README.read_text()))
