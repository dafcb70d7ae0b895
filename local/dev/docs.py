"""Write the generated tables of docs/: ``python -m local.dev.docs``.

A test compares the pages with the code, so no error, parameter or photograph can be added without its row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import cleanplate.adobe.errors  # noqa: F401 - makes Adobe's errors known
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
from local.paths import ROOT, TEMPLATE

#: They end no photo: two are control flow, one comes after the end, the others concern a folder or the stack.
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
    """Return the table of every reason for which a photo can fail."""
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
    """Return the table of every stack parameter and every environment variable of the functions."""
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
    """Return the table of the sample photographs: title, author, licence, source."""
    rows = ["| photograph | by | licence | from |", "|---|---|---|---|"]
    rows += [
        f"| {credit.title} | {credit.author} | {credit.licence} | [{credit.package}]({credit.source}) |"
        for credit in CREDITS.values()
    ]
    return "\n".join(rows)


#: Page -> name of the table on it -> what makes it.
TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "docs/failures.md": ("reasons", reasons),
    "docs/settings.md": ("settings", settings),
    "docs/development.md": ("credits", credits_of_photographs),
}


def render(page: str, text: str) -> str:
    """Return a page's text with its table as the code has it; raise ValueError where the page has no place for it."""
    name, table = TABLES[page]
    text, found = re.subn(
        rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
        lambda match: f"{match[1]}{table()}\n{match[2]}",
        text,
        flags=re.DOTALL,
    )
    if found != 1:
        raise ValueError(f"{page} has no place for the table '{name}'.")
    return text


if __name__ == "__main__":
    for each in TABLES:
        path = ROOT / each
        path.write_text(render(each, path.read_text(encoding="utf-8")), encoding="utf-8")
