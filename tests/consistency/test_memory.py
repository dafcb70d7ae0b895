"""What a function may take, in the template and in the estimate that refuses what would not fit."""

from __future__ import annotations

from cleanplate.imaging.memory import MEMORY
from tests.consistency.project import Project

#: What an account may give one function before it has asked for more, and what Lambda's disk may have. MB.
_LARGEST_OF_NEW_ACCOUNTS = 3008
_SMALLEST_DISK, _LARGEST_DISK = 512, 10_240
#: The largest that a picture is as a file without compression: bytes per pixel.
_RAW = 4


def _function(name: str) -> str:
    return "".join(word.title() for word in name.split("_")) + "Function"


def _most(project: Project, parameter: str) -> float:
    return float(project.template["Parameters"][parameter]["MaxValue"])


def test_the_estimate_knows_the_memory_that_the_template_gives(project: Project) -> None:
    assert {name: project.functions[_function(name)]["MemorySize"] for name in MEMORY} == MEMORY


def test_no_function_needs_more_memory_than_a_new_account_may_give(project: Project) -> None:
    assert max(about["MemorySize"] for about in project.functions.values()) <= _LARGEST_OF_NEW_ACCOUNTS


def test_the_disk_holds_the_largest_photo_that_the_stack_takes(project: Project) -> None:
    photo = _most(project, "MaxPhotoMegabytes") * 1e6
    for name in MEMORY:
        disk = project.functions[_function(name)]["EphemeralStorage"]["Size"]
        assert _SMALLEST_DISK <= disk <= _LARGEST_DISK
        assert disk * 1024**2 > photo, name


def test_the_last_disk_holds_the_photo_and_its_result_besides(project: Project) -> None:
    disk = project.functions["SaveResultFunction"]["EphemeralStorage"]["Size"] * 1024**2
    photo = _most(project, "MaxPhotoMegabytes") * 1e6
    raw = _most(project, "MaxMegapixels") * 1e6 * _RAW
    # A JPEG is about as large as it was, and lies there twice while its segments are put around it.
    assert disk > photo + max(raw, 2 * photo)
