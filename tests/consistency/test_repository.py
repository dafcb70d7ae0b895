"""Check the repository as a whole: paths, links, commands in the docs."""

from __future__ import annotations

import posixpath
import re
from fnmatch import fnmatch

from tests.consistency.project import Project

_MACHINE_PATH = re.compile(
    "|".join(["/wor" + r"k/\w", "/roo" + r"t/\w", r"/hom" + r"e/\w", r"/Use" + r"rs/\w", r"[A-Z]:\\\\Use" + "rs"])
)
_TEXT = (".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".in", ".json", ".cfg", ".sh", "Makefile", "run", ".gitignore")


def test_no_file_speaks_of_a_path_on_somebodys_machine(project: Project) -> None:
    found = [path for path in project.files() if path.endswith(_TEXT) and _MACHINE_PATH.search(project.text(path))]
    assert not found


# --- docs ---


def _pages(project: Project) -> list[str]:
    return project.files("*.md")


def _anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_in_the_docs_leads_somewhere(project: Project) -> None:
    files = set(project.files())
    broken = []
    for page in _pages(project):
        text = re.sub(r"^```.*?^```", "", project.text(page), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in target:
                continue
            path, _, anchor = target.partition("#")
            there = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
            is_there = there in files or any(name.startswith(f"{there}/") for name in files)
            if not is_there or (anchor and anchor not in _anchors(project.text(there))):
                broken.append(f"{page}: {target}")
    assert not broken


def test_the_docs_name_files_that_exist(project: Project) -> None:
    files = project.files()
    missing = [
        f"{page}: {name}"
        for page in _pages(project)
        for name in re.findall(r"`((?:\w+/)+[\w.*-]+\.(?:py|yaml|json|md|txt|in|toml))`", project.text(page))
        if not any(fnmatch(path, f"*{name}") for path in files)
    ]
    assert not missing


def test_the_docs_name_commands_that_exist(project: Project) -> None:
    targets = set(re.findall(r"^([a-z-]+):", project.text("Makefile"), re.MULTILINE))
    modules = {path.removesuffix(".py").removesuffix("/__main__").replace("/", ".") for path in project.files("*.py")}
    for page in _pages(project):
        text = project.text(page)
        blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
        named = set(re.findall(r"(?:^|\n|`)make ([a-z-]+)", f"{blocks}\n{' '.join(re.findall(r'`[^`]+`', text))}"))
        assert named <= targets, page
        assert set(re.findall(r"python -m ((?:local|tests)[\w.]*)", text)) <= modules | {"local"}, page


def test_the_docs_name_sample_events_that_exist(project: Project) -> None:
    text = project.text("docs/development.md")
    events = re.findall(r"EVENT=\.local/(events/\S+)", text)
    assert events
    assert not [path for path in events if path not in project.files("events/*")]
    assert set(re.findall(r"FUNCTION=(\w+)", text)) <= set(project.functions)
