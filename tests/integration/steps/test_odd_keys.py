"""A key is a key and nothing else: whatever it looks like, no program is run and no file of its name is touched."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from cleanplate.imaging import jpeg_blocks
from tests.integration.steps.walk import Walk, photo_bytes

KEYS = [
    "../../etc/passwd.jpg",
    "/etc/passwd",
    "-rf * $(reboot) `reboot`; reboot | reboot & reboot.jpg",
    "new\nline\r\nnothing\x00.jpg",
    "%2e%2e%2f%00.jpg",
    "https://example.com/a.jpg?X-Amz-Signature=1",
    "<script>alert(1)</script>{0}{key}%s%n${jndi:ldap:x}{{7*7}}.jpg",
    "e\u0301\u202egpj.\U0001f4f7 名前.jpg",
    "é" * 495 + ".jpg",
]
_PROGRAMS = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.", "ctypes.")
_CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "shutil.")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _is_ours(command: list[str]) -> bool:
    """Return whether it is the one program that is run: it holds a JPEG's blocks; it is given a library, two open files and two rows."""
    program = [sys.executable, "-I", "-S", str(jpeg_blocks._WORKER), jpeg_blocks.find_library()]
    return command[:5] == program and all(each.isdigit() for each in command[5:])


class Watch:
    """Note what this process has done to the machine while it was watched."""

    def __init__(self) -> None:
        self.watching = False
        self.done: list[str] = []
        # A hook stays for the life of the process.
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.watching:
            return
        if event == "subprocess.Popen" and _is_ours(arguments[1]):
            return
        if event.startswith((*_PROGRAMS, *_CHANGES)):
            self.done.append(f"{event} {arguments[:2]}")
        elif event == "open" and isinstance(arguments[0], str | bytes) and arguments[2] & _WRITES:
            path = os.fsdecode(arguments[0])
            if not path.startswith(tempfile.gettempdir()) or "reboot" in path or "passwd" in path:
                self.done.append(f"wrote {path}")


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_a_key_becomes_no_path_and_no_command(make_walk: Callable[..., Walk], watch: Watch, key: str) -> None:
    walk = make_walk()
    photo = walk.stage.upload(key, photo_bytes())
    watch.watching, watch.done = True, []
    try:
        job = walk.clean(photo)
    finally:
        watch.watching = False
    assert not watch.done
    assert (job.status, job.photo.key) == ("cleaned", key)
    assert walk.stage.results().keys() == {key, f"{key}.json"}


def test_the_watch_sees_a_file_and_a_program(watch: Watch, tmp_path: Any) -> None:
    watch.watching, watch.done = True, []
    try:
        os.system("true")
        (tmp_path / "passwd").write_text("x")
    finally:
        watch.watching = False
    assert [done.split()[0] for done in watch.done] == ["os.system", "wrote"]
