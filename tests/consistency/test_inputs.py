"""What comes from outside stays a value: nothing that is deployed runs programs, evaluates text or opens paths."""

from __future__ import annotations

import ast
import re

from tests.consistency.project import PACKAGE, TEMPLATE, Project

#: Modules that run programs, or turn bytes into objects that do.
_FORBIDDEN = {
    "_posixsubprocess",
    "code",
    "codeop",
    "commands",
    "ctypes",
    "dill",
    "glob",
    "importlib",
    "marshal",
    "multiprocessing",
    "pathlib",
    "pickle",
    "popen2",
    "pty",
    "runpy",
    "shelve",
    "shutil",
    "subprocess",
    "yaml",
}
_CALLS = {"__import__", "compile", "eval", "exec", "input", "open"}
#: A method of these modules is not the builtin: ``Image.open`` takes an open file, ``re.compile`` a pattern.
_METHODS_OF = {"Image", "re"}
#: The environment is read, and nothing else of the operating system is used.
_OS = {f"{PACKAGE}/settings.py": {"environ"}}
#: One program is run, always the same: this interpreter with a script of the package, which calls libjpeg. Modules are
#: imported by names that stand in the same file, and files read that lie in the package.
_ALLOWED = {
    f"{PACKAGE}/imaging/__init__.py": {"importlib"},
    f"{PACKAGE}/imaging/jpeg_blocks.py": {"pathlib", "subprocess"},
    f"{PACKAGE}/imaging/jpeg_coefficients.py": {"ctypes"},
    f"{PACKAGE}/imaging/libjpeg.py": {"ctypes"},
    f"{PACKAGE}/page/html.py": {"pathlib"},
}


def _deployed(project: Project) -> list[str]:
    return [*project.files(f"{PACKAGE}/*.py"), *project.files("functions/*.py")]


def test_nothing_deployed_runs_programs_or_evaluates_text(project: Project) -> None:
    paths = _deployed(project)
    assert len(paths) > 40
    for path in paths:
        for node in project.nodes(path):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            roots = {name.partition(".")[0] for name in names}
            assert not roots & _FORBIDDEN - _ALLOWED.get(path, set()), f"{path} imports {roots}"
            assert "os" not in roots or path in _OS, f"{path} imports os"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                assert node.attr in _OS.get(path, set()), f"{path}:{node.lineno} uses os.{node.attr}"


def test_the_one_program_that_is_run_is_ours(project: Project) -> None:
    """No shell, no name from outside: the interpreter, isolated, and a script beside the module."""
    text = project.text(f"{PACKAGE}/imaging/jpeg_blocks.py")
    calls = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "subprocess"
    ]
    assert {node.attr for node in calls} == {"Popen", "PIPE"}
    assert '[sys.executable, "-I", "-S", str(_WORKER), library, *map(str, descriptors + rows)]' in text
    assert '_WORKER = Path(__file__).with_name("jpeg_worker.py")' in text
    assert "shell" not in text


def test_nothing_deployed_opens_a_path(project: Project) -> None:
    """Scratch files have no name; what lies in S3 is read through storage.py alone."""
    for path in _deployed(project):
        for node in project.nodes(path):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if isinstance(called, ast.Name):
                assert called.id not in _CALLS, f"{path}:{node.lineno} calls {called.id}"
            elif isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                of, name = called.value.id, called.attr
                assert name not in _CALLS or of in _METHODS_OF, f"{path}:{node.lineno} calls {of}.{name}"
                if of == "tempfile":
                    assert name == "TemporaryFile", f"{path}:{node.lineno} makes a file with a name"


def test_a_right_on_everything_has_its_reason_beside_it(project: Project) -> None:
    lines = project.text(TEMPLATE).splitlines()
    wide = [
        number
        for number, line in enumerate(lines)
        if re.search(r"Resource: (\"\*\"|'\*'|!Sub .*:\*\"?)\s*$", line) and "Sid: TlsOnly" not in line
    ]
    assert wide
    for number in wide:
        start = next(at for at in range(number, 0, -1) if "Sid:" in lines[at])
        beside = lines[start - 1 : number + 1]
        assert any("#" in line for line in beside), f"line {number + 1}: why everything?"
