"""The peak memory of what each function does with a photo, measured in a process of its own.

``python -m tests.memory [MEGAPIXELS ...] [--kinds NAME ...]`` prints what was measured beside what is estimated, in MB.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "layers" / "cleanplate")]

from tests.worker_peaks import WorkerPeaks, high_water_mark  # noqa: E402 - after the path to it

if TYPE_CHECKING:
    from cleanplate.imaging import PhotoFacts

#: Name -> Pillow's format, mode, and how it is saved.
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "jpeg": ("JPEG", "RGB", {"quality": 90}),
    "jpeg 4:4:4": ("JPEG", "RGB", {"quality": 90, "subsampling": 0}),
    "jpeg progressive": ("JPEG", "RGB", {"quality": 90, "progressive": True}),
    "jpeg grey": ("JPEG", "L", {"quality": 90}),
    "jpeg cmyk": ("JPEG", "CMYK", {"quality": 90}),
    "png": ("PNG", "RGB", {"compress_level": 1}),
    "png rgba": ("PNG", "RGBA", {"compress_level": 1}),
    "png grey": ("PNG", "L", {"compress_level": 1}),
    "png grey+alpha": ("PNG", "LA", {"compress_level": 1}),
    "png 16-bit grey": ("PNG", "I;16", {"compress_level": 1}),
    "png palette": ("PNG", "P", {"compress_level": 1}),
    "tiff": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "tiff raw": ("TIFF", "RGB", {}),
    "tiff rgba": ("TIFF", "RGBA", {"compression": "tiff_adobe_deflate"}),
    "tiff cmyk": ("TIFF", "CMYK", {"compression": "tiff_lzw"}),
    "tiff 16-bit grey": ("TIFF", "I;16", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", "RGB", {"quality": 80, "method": 0}),
    "webp rgba": ("WEBP", "RGBA", {"quality": 80, "method": 0}),
    "webp lossless": ("WEBP", "RGB", {"lossless": True, "quality": 0, "method": 0}),
    "webp lossless rgba": ("WEBP", "RGBA", {"lossless": True, "quality": 0, "method": 0}),
    "heic": ("HEIF", "RGB", {"quality": 50, "enc_params": {"preset": "ultrafast"}}),
    "heic rgba": ("HEIF", "RGBA", {"quality": 50, "enc_params": {"preset": "ultrafast"}}),
    "avif": ("AVIF", "RGB", {"quality": 60, "speed": 10}),
    "avif rgba": ("AVIF", "RGBA", {"quality": 60, "speed": 10}),
    "avif 4:4:4": ("AVIF", "RGB", {"quality": 60, "speed": 10, "subsampling": "4:4:4"}),
    "gif": ("GIF", "P", {}),
    "jpeg2000": ("JPEG2000", "RGB", {"quality_mode": "rates", "quality_layers": [20]}),
    "jpeg2000 rgba": ("JPEG2000", "RGBA", {"quality_mode": "rates", "quality_layers": [20]}),
}

FUNCTIONS = ("request_mask", "fill_masked_areas", "save_result")

_LIMIT = 4000


def make_photo(kind: str, size: tuple[int, int], folder: Path) -> Path:
    """Write a photo with some texture everywhere, in a process of its own; returns its path."""
    path = folder / f"{kind.replace(' ', '-').replace(':', '')}-{size[0]}x{size[1]}"
    if not path.exists():
        _child("make", kind, str(size[0]), str(size[1]), str(path))
    return path


def peaks_of(photo: Path, folder: Path, **options: str) -> dict[str, float]:
    """Return each function's peak of resident memory in MB, with that of the processes that it starts.

    In the photo's order: each works on what the one before has left in ``folder``.
    """
    stated = json.dumps(options)
    return {function: float(_child(function, str(photo), str(folder), stated)["peak"]) for function in FUNCTIONS}


def facts_found(photo: Path) -> PhotoFacts:
    """Return what the first look, when it was measured, found the photo to be."""
    from cleanplate.imaging import PhotoFacts

    return PhotoFacts.from_dict(json.loads(_facts_of(photo).read_text()))


def _facts_of(photo: Path) -> Path:
    return photo.with_name(photo.name + ".facts")


def _child(act: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.memory", "--child", act, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{act} {arguments}: {done.returncode} {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


# ----------------------------------------------------------------------------------------------------------------------
# In the child


def _make(kind: str, width: str, height: str, path: str) -> None:
    import pillow_heif
    from PIL import Image

    pillow_heif.register_heif_opener()
    picture_format, mode, options = KINDS[kind]
    deep = mode == "I;16"
    tile = Image.effect_noise((509, 509), 12)
    if not deep and mode not in ("L", "P"):
        tile = Image.merge("RGB", (tile, tile.rotate(90), tile.rotate(180))).convert(mode if mode != "LA" else "RGB")
        if mode == "LA":
            tile = tile.convert("LA")
    if mode in ("LA", "RGBA"):
        tile.putalpha(200)
    tile = tile.convert("I;16") if deep else tile.quantize(200) if mode == "P" else tile
    image = Image.new(mode, (int(width), int(height)))
    if mode == "P":
        image.putpalette(tile.getpalette() or [])
    for top in range(0, image.height, tile.height):
        for left in range(0, image.width, tile.width):
            image.paste(tile, (left, top))
    image.save(path, picture_format, **options)


def _functions(photo: str, folder: str, stated: dict[str, str]) -> dict[str, Callable[[], None]]:
    from PIL import Image, ImageDraw

    # What the functions have loaded besides.
    import cleanplate.services
    import cleanplate.steps.save_result  # noqa: F401
    from cleanplate.imaging import FillPlan, compose, fitted, inspect_photo, make_view, plan_fill, verify_photo
    from cleanplate.models import Options

    place, path, options = Path(folder), Path(photo), Options(**stated)  # type: ignore[arg-type]

    def facts() -> PhotoFacts:
        return facts_found(path)

    def request_mask() -> None:
        with path.open("rb") as file:
            found = inspect_photo(file, max_megapixels=400)
        with path.open("rb") as file:
            verify_photo(file)
        _facts_of(path).write_text(json.dumps(found.to_dict()))
        with path.open("rb") as file:
            make_view(file, found, limit=_LIMIT)

    def fill_masked_areas() -> None:
        size = fitted(*facts().upright_size, _LIMIT)
        mask, content = Image.new("L", size), io.BytesIO()
        ImageDraw.Draw(mask).rectangle([40, 40, size[0] - 40, size[1] - 40], fill=255)
        mask.save(content, "PNG")
        del mask
        plan = plan_fill(lambda: path.open("rb"), facts(), [content.getvalue()], options=options, limit=_LIMIT)
        (place / "plan.json").write_text(json.dumps(plan.to_dict()))
        (place / "hole.png").write_bytes(plan.hole)

    def save_result() -> None:
        plan = FillPlan.from_dict(json.loads((place / "plan.json").read_text()), (place / "hole.png").read_bytes())
        fills = []
        for window in plan.windows:
            content = io.BytesIO()
            Image.new("RGB", (window.sent_width, window.sent_height), (90, 120, 80)).save(content, "PNG")
            fills.append(content.getvalue())
        compose(lambda: path.open("rb"), facts(), plan, fills, options=options, mark_as_edited=True).content.close()

    return {"request_mask": request_mask, "fill_masked_areas": fill_masked_areas, "save_result": save_result}


def _in_child(act: str, arguments: list[str]) -> None:
    workers = WorkerPeaks()
    if act == "make":
        _make(*arguments)
    elif act in FUNCTIONS:
        _functions(arguments[0], arguments[1], json.loads(arguments[2]))[act]()
    print(json.dumps({"peak": high_water_mark() + workers.most}))


# ----------------------------------------------------------------------------------------------------------------------


def _rows(megapixels: list[float], kinds: list[str], folder: Path) -> Iterator[str]:
    from cleanplate.imaging import target_format
    from cleanplate.imaging.memory import needs

    for kind in kinds:
        for million in megapixels:
            height = int((million * 1e6 / 1.5) ** 0.5)
            size = (height * 3 // 2, height)
            try:
                photo = make_photo(kind, size, folder)
                peaks = peaks_of(photo, folder)
            except RuntimeError as error:
                yield f"{kind} {million:g} MP: {error}"[-300:]
                continue
            found, weight = facts_found(photo), photo.stat().st_size
            estimate = needs(found, size=weight, target=target_format(found, "same", []))
            shown = "  ".join(f"{name} {peak:.0f} of {estimate[name]:.0f}" for name, peak in peaks.items())
            yield f"{kind:20s} {million:4g} MP {weight / 1e6:6.1f} MB file  {shown}"
            photo.unlink()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _in_child(sys.argv[2], sys.argv[3:])
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("megapixels", type=float, nargs="*", default=[12.0, 48.0])
        parser.add_argument("--kinds", nargs="*", default=list(KINDS))
        given = parser.parse_args()
        with tempfile.TemporaryDirectory() as place:
            for line in _rows(given.megapixels, given.kinds, Path(place)):
                print(line, flush=True)
