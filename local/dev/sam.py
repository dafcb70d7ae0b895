"""SAM CLI, from an environment of its own: ``python -m local.dev.sam build``.

The layers' makefiles install with the uv of ``.venv``, from the same package indexes as pip.
"""

from __future__ import annotations

import os
import subprocess
import sys

from local.dev.install import UV, settings_of_pip
from local.paths import ROOT

PYTHON = ROOT / ".venv-sam" / "bin" / "python"
#: A region must be named even for what never leaves this machine; deploying goes where the person says.
REGION = "us-east-1"


def environment(*, offline: bool) -> dict[str, str]:
    """Return what SAM CLI is started with. ``offline`` commands need no region of the person's."""
    beside = str(PYTHON.parent)
    return {
        **os.environ,
        # Every index may be asked for everything: the hashes in the requirements decide what is taken.
        "UV_INDEX_STRATEGY": os.environ.get("UV_INDEX_STRATEGY", "unsafe-best-match"),
        **settings_of_pip(),
        "CLEANPLATE_UV": os.environ.get("CLEANPLATE_UV", str(UV)),
        **({"AWS_DEFAULT_REGION": REGION} if offline else {}),
        "PATH": os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]),
        "SAM_CLI_TELEMETRY": "0",
    }


#: What `make deploy` was told once: git does not see it, and it holds no secret, since SAM CLI writes no NoEcho parameter.
ANSWERS = ROOT / "samconfig.local.toml"


def deploy_words(words: list[str]) -> list[str]:
    """Return the words of `sam deploy`: it asks where no deployment has left its answers yet, and never afterwards."""
    if not ANSWERS.exists():
        # SAM CLI takes no file that is not there.
        ANSWERS.write_text((ROOT / "samconfig.toml").read_text(encoding="utf-8"), encoding="utf-8")
    asked = "s3_prefix" in ANSWERS.read_text(encoding="utf-8")
    return ["deploy", "--config-file", ANSWERS.name, *([] if asked else ["--guided"]), *words]


def main(words: list[str]) -> int:
    """Run SAM CLI with these words, from the checkout; its exit code."""
    if not PYTHON.exists():
        print(
            "SAM CLI is not set up yet: run `make setup`, or the make target of what you want to do.", file=sys.stderr
        )
        return 2
    if words[:1] == ["deploy"]:
        words = deploy_words(words[1:])
    return subprocess.run(
        [str(PYTHON), "-m", "samcli", *words],
        cwd=ROOT,
        env=environment(offline=words[:1] in (["build"], ["validate"])),
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
