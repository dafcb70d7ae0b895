"""Measure the peak memory of what each function does with a photo, each in a process of its own.

``python -m tests.memory [MEGAPIXELS ...] [--kinds NAME ...] [--spare MB]`` prints what was measured beside what is
estimated, in MB, and ends with 1 where less than the spare memory is left between them.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "layers" / "cleanplate")]

import pillow_heif  # noqa: E402 - after the path to it
from PIL import Image, ImageDraw  # noqa: E402

# Each process is a copy of this one, with what the functions have loaded besides.
import cleanplate.services  # noqa: E402
import cleanplate.steps.save_result  # noqa: E402, F401
from cleanplate.imaging import (  # noqa: E402
    FillPlan,
    PhotoFacts,
    compose,
    fitted,
    inspect_photo,
    make_view,
    plan_fill,
    target_format,
    verify_photo,
)
from cleanplate.imaging.memory import needs  # noqa: E402
from cleanplate.models import Options  # noqa: E402
from tests.worker_peaks import WorkerPeaks, high_water_mark  # noqa: E402

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

_LIMIT = 4000


def peaks_of(photo: Path, folder: Path) -> dict[str, float]:
    """Return each function's peak of resident memory in MB, with that of the processes that it starts.

    In the photo's order: each works on what the one before has left in ``folder``.
    """
    return {name: _in_process(function) for name, function in _functions(photo, folder).items()}


def _in_process(act: Callable[[], None]) -> float:
    """Do ``act`` in a copy of this process; return its peak in MB. Raises RuntimeError where it does not end well."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(act, sender))
    with receiver:
        process.start()
        sender.close()
        try:
            peak: float = receiver.recv()
        except EOFError:
            process.join()
            raise RuntimeError(f"ended with {process.exitcode}") from None
        process.join()
    return peak


def _measure(act: Callable[[], None], sender: Any) -> None:
    workers = WorkerPeaks()
    act()
    sender.send(high_water_mark() + workers.most)


def _make(kind: str, size: tuple[int, int], path: Path) -> None:
    """Write a photo with some texture everywhere."""
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
    image = Image.new(mode, size)
    if mode == "P":
        image.putpalette(tile.getpalette() or [])
    for top in range(0, image.height, tile.height):
        for left in range(0, image.width, tile.width):
            image.paste(tile, (left, top))
    image.save(path, picture_format, **options)


def _facts_found(photo: Path) -> PhotoFacts:
    """Return what the first look, when it was measured, found the photo to be."""
    return PhotoFacts.from_dict(json.loads(_facts_of(photo).read_text()))


def _facts_of(photo: Path) -> Path:
    return photo.with_name(photo.name + ".facts")


def _functions(photo: Path, folder: Path) -> dict[str, Callable[[], None]]:
    options = Options()

    def request_mask() -> None:
        with photo.open("rb") as file:
            found = inspect_photo(file, max_megapixels=400)
        with photo.open("rb") as file:
            verify_photo(file)
        _facts_of(photo).write_text(json.dumps(found.to_dict()))
        with photo.open("rb") as file:
            make_view(file, found, limit=_LIMIT)

    def fill_masked_areas() -> None:
        facts = _facts_found(photo)
        size = fitted(*facts.upright_size, _LIMIT)
        mask, content = Image.new("L", size), io.BytesIO()
        ImageDraw.Draw(mask).rectangle([40, 40, size[0] - 40, size[1] - 40], fill=255)
        mask.save(content, "PNG")
        del mask
        plan = plan_fill(lambda: photo.open("rb"), facts, [content.getvalue()], options=options, limit=_LIMIT)
        (folder / "plan.json").write_text(json.dumps(plan.to_dict()))
        (folder / "hole.png").write_bytes(plan.hole)

    def save_result() -> None:
        facts = _facts_found(photo)
        plan = FillPlan.from_dict(json.loads((folder / "plan.json").read_text()), (folder / "hole.png").read_bytes())
        fills = []
        for window in plan.windows:
            content = io.BytesIO()
            Image.new("RGB", (window.sent_width, window.sent_height), (90, 120, 80)).save(content, "PNG")
            fills.append(content.getvalue())
        compose(lambda: photo.open("rb"), facts, plan, fills, options=options, mark_as_edited=True).content.close()

    return {"request_mask": request_mask, "fill_masked_areas": fill_masked_areas, "save_result": save_result}


def _rows(megapixels: list[float], kinds: list[str], folder: Path, spare: float) -> Iterator[tuple[bool, str]]:
    """Yield for each kind and size whether each function leaves ``spare`` MB of its estimate, and the row to print."""
    for kind in kinds:
        for million in megapixels:
            height = int((million * 1e6 / 1.5) ** 0.5)
            photo = folder / "photo"
            try:
                _in_process(partial(_make, kind, (height * 3 // 2, height), photo))
                peaks = peaks_of(photo, folder)
            except RuntimeError as error:
                yield False, f"{kind} {million:g} MP: {error}"
                continue
            found, weight = _facts_found(photo), photo.stat().st_size
            estimate = needs(found, size=weight, target=target_format(found, "same", []))
            shown = "  ".join(f"{name} {peak:.0f} of {estimate[name]:.0f}" for name, peak in peaks.items())
            fits = all(peak + spare <= estimate[name] for name, peak in peaks.items())
            yield fits, f"{kind:20s} {million:4g} MP {weight / 1e6:6.1f} MB file  {shown}{'' if fits else '  TOO MUCH'}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("megapixels", type=float, nargs="*", default=[12.0, 48.0])
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--spare", type=float, default=0.0)
    given = parser.parse_args()
    all_fit = True
    with tempfile.TemporaryDirectory() as place:
        for fits, row in _rows(given.megapixels, given.kinds, Path(place), given.spare):
            print(row, flush=True)
            all_fit = all_fit and fits
    return 0 if all_fit else 1


if __name__ == "__main__":
    sys.exit(main())
