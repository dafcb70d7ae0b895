"""Make the project's Python environments: ``python3 local/dev/install.py installers|run|test|sam|audit``.

Needs nothing but Python's standard library, and runs far enough on an old Python to say that it is too old. Packages
are pinned with hashes and installed by the uv of ``.venv`` from the same indexes as pip; where uv does not run, the pip
beside it does the work.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OLDEST = (3, 11)

#: Here lie pip and uv, which install into every environment: a pip for each would take seconds to make.
MAIN = ROOT / ".venv"
PYTHON, UV = MAIN / "bin" / "python", MAIN / "bin" / "uv"
#: What is asked for -> the environment and the requirements that it needs.
WANTED = {
    "installers": (".venv", ()),
    "run": (".venv", ("local.txt", "model.txt")),
    "test": (".venv", ("test.txt", "model.txt")),
    "sam": (".venv-sam", ("sam.txt",)),
    "audit": (".venv-audit", ("audit.txt",)),
}
#: Of these only the files inside are wanted, not what the package would import.
WITHOUT_DEPENDENCIES = ("model.txt",)

#: pip's setting -> uv's. uv does not read pip's configuration.
_UV_SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
}


class InstallError(Exception):
    """The environment could not be made; the message says what to do."""


def main() -> int:
    """Make one environment; quiet where all goes well."""
    if sys.version_info < OLDEST:
        running = ".".join(map(str, sys.version_info[:3]))
        print(
            f"Cleanplate needs Python 3.11 or newer; {sys.executable} is {running}.\n"
            "Install a newer one, then name it: make run PYTHON=python3.12",
            file=sys.stderr,
        )
        return 1
    name, requirements = WANTED[sys.argv[1]]
    python = ROOT / name / "bin" / "python"
    try:
        if not _runs(PYTHON, "-c", "import pip"):
            _install_installers()
        if not _runs(python, "-c", "pass"):
            _make(ROOT / name)
        for file in requirements:
            _install(python, ROOT / "requirements" / file)
        _share_source(python)
    except InstallError as error:
        print(f"\nThe setup of {name} did not succeed. {error}", file=sys.stderr)
        return 1
    return 0


def _install_installers() -> None:
    """Make ``.venv`` with pip and uv: by the pip of the Python that runs this, else by the one that Python ships."""
    _make(MAIN)
    wanted = ["install", "--quiet", "--require-hashes", "-r", str(ROOT / "requirements" / "installers.txt")]
    if _failure_of([*_pip(sys.executable), "--python", str(PYTHON), *wanted]) is not None:
        _make(MAIN, with_pip=True)
        _failure_of([*_pip(PYTHON), *wanted])


def _make(folder: pathlib.Path, *, with_pip: bool = False) -> None:
    if not with_pip:
        print(f"Setting up {folder.name} (Python {sys.version.split()[0]}) ...", flush=True)
    try:
        venv.create(folder, clear=True, with_pip=with_pip, symlinks=True)
    except (subprocess.CalledProcessError, OSError) as error:
        raise InstallError(
            f"Python's venv module failed ({error}).\n"
            "On Debian and Ubuntu: apt install python3-venv. Or name another interpreter: PYTHON=python3.12"
        ) from None


def _pip(python: pathlib.Path | str) -> list[str]:
    return [str(python), "-m", "pip", "--disable-pip-version-check"]


def _install(python: pathlib.Path, requirements: pathlib.Path) -> None:
    """Install pinned requirements, by uv if that can be had, else by pip."""
    print(f"Installing {requirements.relative_to(ROOT)} ...", flush=True)
    wanted = ["--require-hashes", "-r", str(requirements)]
    if requirements.name in WITHOUT_DEPENDENCIES:
        wanted.append("--no-deps")
    if _runs(UV, "--version"):
        # Every index may be asked for everything: the hashes decide what is taken.
        call = [str(UV), "pip", "install", "--quiet", "--index-strategy", "unsafe-best-match", "--python", str(python)]
        if _failure_of([*call, *wanted], settings_of_pip()) is None:
            return
    failure = _failure_of([*_pip(PYTHON), "--python", str(python), "install", "--quiet", *wanted])
    if failure is not None:
        raise InstallError(
            f"Installing {requirements.relative_to(ROOT)} failed:\n\n{failure}\n\n"
            "Packages come from PyPI, or from the index that pip is configured with: check the network, a proxy\n"
            "(HTTPS_PROXY) and `pip config list`, then run the same command again. If a package has no build for\n"
            f"Python {sys.version.split()[0]} on this machine, name another interpreter: PYTHON=python3.12"
        )


def _share_source(python: pathlib.Path) -> None:
    """Let the environment import ``cleanplate`` from where it is edited; relative, so that a checkout can be moved."""
    site = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    source = os.path.relpath(ROOT / "layers" / "cleanplate", pathlib.Path(site).resolve())
    (pathlib.Path(site) / "cleanplate-source.pth").write_text(source + "\n")


def settings_of_pip() -> dict[str, str]:
    """Return pip's indexes as uv's settings, without touching what is set for uv already."""
    shown = subprocess.run([*_pip(PYTHON), "config", "list"], capture_output=True, text=True, check=False)
    settings: dict[str, str] = {}
    # What the environment says comes last here, and wins, as it does with pip.
    for line in sorted(shown.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        name = _UV_SETTINGS.get(name.rpartition(".")[2], "")
        if name and name not in os.environ:
            settings[name] = value.strip("'\"").replace("\\n", " ")
    if "UV_FIND_LINKS" in settings:
        settings["UV_FIND_LINKS"] = ",".join(settings["UV_FIND_LINKS"].split())
    return settings


def _runs(program: pathlib.Path, *arguments: str) -> bool:
    return program.exists() and _failure_of([str(program), *arguments]) is None


def _failure_of(command: list[str], settings: dict[str, str] | None = None) -> str | None:
    """Return None where the command succeeded, else the end of its output."""
    try:
        done = subprocess.run(
            command, env={**os.environ, **(settings or {})}, capture_output=True, text=True, check=False
        )
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return None
    return "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])


if __name__ == "__main__":
    sys.exit(main())
