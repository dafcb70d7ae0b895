"""What imaging costs and keeps: peak memory, time beside a plain re-encoding, sharpness inside the hole, residue.

Memory is measured in child processes, one per step, as the functions run them: this file, run with ``--child``.
"""

from __future__ import annotations

import io
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "layers" / "cleanplate")]

from tests.benchmarks.figures import Figure, Table  # noqa: E402 - after the path to it
from tests.worker_peaks import WorkerPeaks, high_water_mark  # noqa: E402 - after the path to it

LIMIT = 4000

#: Where the object is: an ellipse, as shares of the photo's width and height.
OBJECT = (0.40, 0.38, 0.60, 0.60)


def row(
    name: str,
    value: float,
    unit: str,
    *,
    limit: str = "",
    baseline: str = "",
    ratio: float | None = None,
    ok: bool = True,
) -> Figure:
    """A figure, judged where it has a limit."""
    return Figure(name, value, unit, limit, baseline, ratio, ok if limit else None)


def run(quick: bool = False) -> Table:
    """All figures, of photos of 12 and 48 megapixels; ``quick`` of 12 alone."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        sizes = (12,) if quick else (12, 48)
        for megapixels in sizes:
            _child("make", str(megapixels), folder)
        rows = [
            *_memory(place, sizes),
            *_sharpness(place, sizes[-1]),
            *_time(place, sizes[-1], rounds=5 if quick else 9),
            *_residue(),
        ]
    return Table("Imaging", tuple(rows))


# ----------------------------------------------------------------------------------------------------------------------
# Pictures


def _make(megapixels: int, folder: str) -> None:
    """A photo with something in it, the same scene without it, and the mask of it as the mask route would give it."""
    from PIL import Image, ImageDraw

    from local.demo.photographs import enlarge, heic, photograph

    place = Path(folder)
    # Twice the size first: no camera resolves every pixel, as a photograph scaled down to 640 pixels does.
    packaged = photograph("china")
    packaged = packaged.resize((packaged.width * 2, packaged.height * 2), Image.Resampling.BICUBIC)
    scene = enlarge(packaged, megapixels, seed=1)
    width, height = scene.size
    scene.save(place / f"{megapixels}.background.bmp")
    box = [round(share * side) for share, side in zip(OBJECT, (width, height) * 2, strict=True)]
    ImageDraw.Draw(scene).ellipse(box, fill=(205, 30, 120))
    scene.save(place / f"{megapixels}.jpg", quality=95, subsampling=2, exif=_camera_exif())
    scene.save(place / f"{megapixels}.full-colour.jpg", quality=95, subsampling=0, exif=_camera_exif())
    scale = min(1, LIMIT / width)
    view = (round(width * scale), round(height * scale))
    mask = Image.new("L", view)
    ImageDraw.Draw(mask).ellipse([value * scale for value in box], fill=255)
    mask.save(place / f"{megapixels}.mask.png")
    (place / f"{megapixels}.heic").write_bytes(heic(scene.resize((width, height)), quality=80))


def _camera_exif() -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[0x010F] = "Camera"
    return exif.tobytes()


def _psnr(one: Any, other: Any, weight: Any) -> float:
    import numpy as np

    error = ((np.asarray(one, dtype=np.float32) - np.asarray(other, dtype=np.float32)) ** 2)[np.asarray(weight) > 0]
    return 10 * math.log10(255**2 / float(error.mean()))


# ----------------------------------------------------------------------------------------------------------------------
# Memory


def _memory(place: Path, sizes: Sequence[int]) -> list[Figure]:
    rows = []
    for megapixels in sizes:
        limit = {12: 300, 48: 650}[megapixels]
        for kind in ("jpg", "heic"):
            photo = str(place / f"{megapixels}.{kind}")
            mask = str(place / f"{megapixels}.mask.png")
            peak = _child("walk", photo, mask)["peak"]
            bounded = kind == "jpg"
            naive = _child("naive", photo)["peak"] if bounded else 0.0
            rows.append(
                row(
                    f"peak memory, whole walk of a {megapixels} MP {kind.upper()}",
                    peak,
                    "MB",
                    limit=f"<= {limit} MB" if bounded else "",
                    baseline=f"{naive:.0f} MB with float arrays over the full frame" if bounded else "",
                    ratio=peak / naive if bounded else None,
                    ok=not bounded or peak <= limit,
                )
            )
            rows += [
                row(f"  of it {step}", _child("step", step, photo, mask)["peak"], "MB")
                for step in ("import", "inspect_photo", "make_view", "plan_fill")
            ]
            rows.append(row("  of it compose", _peak_of_compose(photo, mask), "MB"))
        rows += _memory_of_jpeg(place, megapixels)
    return rows


#: 48 megapixels, whatever the sampling and the hole are.
COMPOSE_MB = 450


def _memory_of_jpeg(place: Path, megapixels: int) -> list[Figure]:
    mask, rows = str(place / f"{megapixels}.mask.png"), []
    for kind, colours in (("jpg", "4:2:0"), ("full-colour.jpg", "4:4:4")):
        photo = str(place / f"{megapixels}.{kind}")
        for hole, peak in (("", _peak_of_compose(photo, mask)), (", hole over most of it", _peak_of_large(photo))):
            title = f"compose, {megapixels} MP JPEG {colours}{hole}"
            rows.append(row(title, peak, "MB", limit=f"<= {COMPOSE_MB} MB", ok=peak <= COMPOSE_MB))
    return rows


def _child(*arguments: str) -> dict[str, float]:
    """Run ``_Children`` of this file in a process of its own; its last line of output is JSON."""
    command = [sys.executable, "-W", "ignore", __file__, "--child", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stderr[-2000:]}")
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _steps(photo: str, mask: str) -> dict[str, Callable[[], Any]]:
    """Each step alone, and what it needs made outside, as the functions run them: from files, not from memory."""
    from cleanplate.imaging import compose, inspect_photo, make_view, plan_fill
    from cleanplate.models import Options

    path, options = Path(photo), Options()

    def facts() -> Any:
        with path.open("rb") as file:
            return inspect_photo(file, max_megapixels=200)

    def view() -> Any:
        with path.open("rb") as file:
            return make_view(file, facts(), limit=LIMIT)

    def plan() -> Any:
        return plan_fill(lambda: path.open("rb"), facts(), [Path(mask).read_bytes()], options=options, limit=LIMIT)

    def put_back(made: Any) -> Any:
        # The window as it was sent stands for the fill: the same size, format and about the same bytes.
        fills = [window.image or path.read_bytes() for window in made.windows]
        composed = compose(lambda: path.open("rb"), facts(), made, fills, options=options, mark_as_edited=True)
        composed.content.close()

    return {"inspect_photo": facts, "make_view": view, "plan_fill": plan, "compose": lambda: put_back(plan())}


def _child_walk(photo: str, mask: str) -> None:
    steps = _steps(photo, mask)
    for step in ("inspect_photo", "make_view", "compose"):
        steps[step]()


def _child_step(step: str, photo: str, mask: str) -> None:
    steps = _steps(photo, mask)
    if step == "import":
        return
    steps[step]()


def _peak_of_compose(photo: str, mask: str) -> float:
    """The peak of compose alone; its plan comes from another function's run, so it is made in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        _child("plan", photo, mask, folder)
        return _child("compose", folder, photo)["peak"]


def _child_plan(photo: str, mask: str, folder: str) -> None:
    plan = _steps(photo, mask)["plan_fill"]()
    place = Path(folder)
    (place / "plan.json").write_text(json.dumps(plan.to_dict()))
    (place / "hole.png").write_bytes(plan.hole)
    for index, window in enumerate(plan.windows):
        (place / f"fill-{index}").write_bytes(window.image or Path(photo).read_bytes())


def _child_compose(folder: str, photo: str) -> None:
    from cleanplate.imaging import FillPlan, compose, inspect_photo
    from cleanplate.models import Options

    place, path = Path(folder), Path(photo)
    plan = FillPlan.from_dict(json.loads((place / "plan.json").read_text()), hole=(place / "hole.png").read_bytes())
    with path.open("rb") as file:
        facts = inspect_photo(file, max_megapixels=200)
    fills = [(place / f"fill-{index}").read_bytes() for index in range(len(plan.windows))]
    compose(lambda: path.open("rb"), facts, plan, fills, options=Options(), mark_as_edited=True).content.close()


def _peak_of_large(photo: str) -> float:
    from PIL import Image, ImageDraw

    with tempfile.TemporaryDirectory() as folder:
        mask = Image.new("L", (1500, 1001))
        ImageDraw.Draw(mask).rectangle([120, 90, 1380, 900], fill=255)
        mask.save(Path(folder) / "mask.png")
        return _peak_of_compose(photo, str(Path(folder) / "mask.png"))


def _child_naive(photo: str) -> None:
    """How it is often done: the whole frame, the whole fill and the whole alpha as floats, blended all over."""
    import numpy as np
    from PIL import Image, ImageFilter

    with Image.open(photo) as image:
        original = np.asarray(image.convert("RGB")).astype(np.float32)
    mask = Image.new("L", (original.shape[1], original.shape[0]))
    height, width = original.shape[:2]
    mask.paste(255, (int(width * 0.4), int(height * 0.38), int(width * 0.6), int(height * 0.6)))
    alpha = np.asarray(mask.filter(ImageFilter.GaussianBlur(8))).astype(np.float32)[..., None] / 255
    fill = original.copy()
    blended = original * (1 - alpha) + fill * alpha
    Image.fromarray(np.clip(blended, 0, 255).astype(np.uint8)).save(io.BytesIO(), "JPEG", quality=95)


# ----------------------------------------------------------------------------------------------------------------------
# Sharpness: a perfect fill, returned as JPEG quality 95


def _sharpness(place: Path, megapixels: int) -> list[Figure]:
    return [
        each
        for name, subsampling in (("full-colour.jpg", 0), ("jpg", 2))
        for each in _sharpness_of(place / f"{megapixels}.{name}", place, megapixels, subsampling)
    ]


def _sharpness_of(photo: Path, place: Path, megapixels: int, subsampling: int) -> list[Figure]:
    from PIL import Image, ImageFilter, ImageStat

    from cleanplate.imaging import compose, inspect_photo, plan_fill
    from cleanplate.models import Options

    with Image.open(place / f"{megapixels}.background.bmp") as image:
        background = image.convert("RGB")
    with photo.open("rb") as file:
        facts = inspect_photo(file, max_megapixels=200)
    mask = (place / f"{megapixels}.mask.png").read_bytes()
    plan = plan_fill(lambda: photo.open("rb"), facts, [mask], options=Options(), limit=LIMIT)
    window = plan.windows[0]
    # There is one window.
    with Image.open(io.BytesIO(plan.hole)) as image:
        hole = image.convert("L")
    truth = background.crop(window.hole_box)

    def as_jpeg(picture: Image.Image) -> bytes:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=95, subsampling=subsampling)
        return buffer.getvalue()

    def detail(picture: Image.Image) -> float:
        return float(ImageStat.Stat(picture.convert("L").filter(ImageFilter.FIND_EDGES), hole).rms[0])

    area = (window.x, window.y, window.x + window.width, window.y + window.height)
    fill = background.crop(area).resize((window.sent_width, window.sent_height))
    composed = compose(lambda: photo.open("rb"), facts, plan, [as_jpeg(fill)], options=Options(), mark_as_edited=True)
    native = Image.open(composed.content).crop(window.hole_box)
    composed.content.close()
    twice = Image.open(io.BytesIO(as_jpeg(Image.open(io.BytesIO(as_jpeg(fill))))))
    left, top, right, bottom = window.hole_box
    twice_there = twice.crop((left - window.x, top - window.y, right - window.x, bottom - window.y))
    scale = LIMIT / max(background.size)
    size = (round(background.width * scale), round(background.height * scale))
    small = background.resize(size, Image.Resampling.LANCZOS)
    scaled = (
        Image.open(io.BytesIO(as_jpeg(small))).resize(background.size, Image.Resampling.BICUBIC).crop(window.hole_box)
    )

    ours, theirs, best = (_psnr(picture, truth, hole) for picture in (native, scaled, twice_there))
    bounded = subsampling == 0
    colours = "4:4:4" if subsampling == 0 else "4:2:0"
    return [
        row(
            f"sharpness in the hole, {megapixels} MP, JPEG {colours}",
            ours,
            "dB",
            limit=">= 40 dB" if bounded else "",
            baseline=f"{theirs:.1f} dB with the whole photo scaled; {best:.1f} is all that two such JPEGs leave",
            ratio=ours / theirs,
            ok=ours >= 40 or not bounded,
        ),
        row(
            "  detail kept in it (strength of edges)",
            100 * detail(native) / detail(truth),
            "%",
            baseline=f"{100 * detail(scaled) / detail(truth):.0f} % with the whole photo scaled",
            ratio=detail(native) / detail(scaled),
        ),
    ]


# ----------------------------------------------------------------------------------------------------------------------
# Time, beside decoding and encoding the same photo in the same run


def _all_processors() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _best_of(acts: dict[str, Callable[[], None]], rounds: int) -> dict[tuple[str, str], float]:
    """The shortest time of each act by each clock."""
    # Two clocks: the wall's, which other programs disturb; the processor time of all threads and processes.
    clocks = {"wall": time.perf_counter, "all": _all_processors}
    spent: dict[tuple[str, str], list[float]] = {(name, clock): [] for name in acts for clock in clocks}
    for _ in range(rounds):
        # By turns, so that a busy moment of the machine hits all alike.
        for name, act in acts.items():
            started = {clock: now() for clock, now in clocks.items()}
            act()
            for clock, now in clocks.items():
                spent[name, clock].append(now() - started[clock])
    return {key: min(times) for key, times in spent.items()}


def _time(place: Path, megapixels: int, rounds: int) -> list[Figure]:
    photo, mask = place / f"{megapixels}.jpg", place / f"{megapixels}.mask.png"
    alone = _child("time", str(photo), str(mask), str(rounds))
    best = _best_of(_acts(photo, mask), rounds)

    def compared(title: str, name: str, clock: str) -> Figure:
        return _beside_plain(title, best[name, clock], best["plain", clock])

    bounded = megapixels >= 48
    return [
        # A function's process does this and nothing else: memory that other work has left to it would be a gift to one.
        _beside_plain(
            f"compose and encode, {megapixels} MP JPEG, CPU time, alone",
            alone["compose"],
            alone["plain"],
            bounded=bounded,
        ),
        compared("  the same after all rows above in one process", "compose", "all"),
        compared("  the same by the wall's clock", "compose", "wall"),
        compared("  every block encoded again, CPU time", "whole", "all"),
        compared("  the same by the wall's clock", "whole", "wall"),
        compared(f"make_view, {megapixels} MP JPEG, CPU time", "view", "all"),
        compared(f"plan_fill, {megapixels} MP JPEG, CPU time", "plan", "all"),
    ]


def _beside_plain(title: str, spent: float, plain: float, *, bounded: bool = False) -> Figure:
    return row(
        title,
        spent,
        "s",
        limit="<= 1 x plain" if bounded else "",
        baseline=f"{plain:.2f} s plain decode and encode",
        ratio=spent / plain,
        ok=spent <= plain or not bounded,
    )


def _child_time(photo: str, mask: str, rounds: str) -> dict[str, float]:
    """Composing and the plain way by turns, each in a process that has done both before."""
    acts = _acts(Path(photo), Path(mask))
    best = _best_of({name: acts[name] for name in ("plain", "compose")}, int(rounds))
    return {name: best[name, "all"] for name in ("plain", "compose")}


def _acts(photo: Path, mask_file: Path) -> dict[str, Callable[[], None]]:
    from PIL import Image, JpegImagePlugin

    from cleanplate.imaging import compose, inspect_photo, jpeg_blocks, make_view, plan_fill
    from cleanplate.models import Options

    mask = mask_file.read_bytes()
    with photo.open("rb") as file:
        facts = inspect_photo(file, max_megapixels=200)
    plan = plan_fill(lambda: photo.open("rb"), facts, [mask], options=Options(), limit=LIMIT)
    fills = []
    for window in plan.windows:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(window.image or photo.read_bytes())).save(buffer, "JPEG", quality=95)
        fills.append(buffer.getvalue())

    def plain() -> None:
        with Image.open(photo) as image, tempfile.TemporaryFile() as out:
            assert isinstance(image, JpegImagePlugin.JpegImageFile)
            image.load()
            image.save(out, "JPEG", qtables=image.quantization, subsampling=JpegImagePlugin.get_sampling(image))

    def composing() -> None:
        compose(lambda: photo.open("rb"), facts, plan, fills, options=Options(), mark_as_edited=True).content.close()

    def whole() -> None:
        """Compose without blocks: every pixel decoded and encoded again."""
        with mock.patch.object(jpeg_blocks, "_LIBRARIES", ()):
            composing()

    def viewing() -> None:
        with photo.open("rb") as file:
            make_view(file, facts, limit=LIMIT)

    def planning() -> None:
        plan_fill(lambda: photo.open("rb"), facts, [mask], options=Options(), limit=LIMIT)

    return {"plain": plain, "compose": composing, "whole": whole, "view": viewing, "plan": planning}


# ----------------------------------------------------------------------------------------------------------------------
# Residue: what is left of the object after a perfect fill


def _residue() -> list[Figure]:
    from PIL import Image, ImageChops, ImageDraw, ImageFilter

    from cleanplate.imaging import compose, inspect_photo, plan_fill
    from cleanplate.models import Options
    from local.demo.photographs import photograph

    background = photograph("coffee")
    rows = []
    for sigma in (0, 1, 2, 4):
        alpha = Image.new("L", background.size)
        ImageDraw.Draw(alpha).ellipse([200, 120, 380, 300], fill=255)
        soft = alpha.filter(ImageFilter.GaussianBlur(sigma))
        # The object's own edge is as soft as the mask says.
        photo = Image.composite(Image.new("RGB", background.size, (255, 0, 255)), background, soft)
        content, mask, fill = io.BytesIO(), io.BytesIO(), io.BytesIO()
        photo.save(content, "PNG")
        soft.save(mask, "PNG")
        background.save(fill, "PNG")
        facts = inspect_photo(content, max_megapixels=200)

        def again(content: io.BytesIO = content) -> io.BytesIO:
            return io.BytesIO(content.getvalue())

        plan = plan_fill(again, facts, [mask.getvalue()], options=Options(), limit=LIMIT)
        composed = compose(again, facts, plan, [fill.getvalue()], options=Options(), mark_as_edited=True)
        with composed.content as file:
            result = Image.open(file).convert("RGB")
        left = max(high for _, high in ImageChops.difference(result, background).getextrema())  # type: ignore[misc]
        naive = Image.composite(background, photo, soft)
        as_is = max(high for _, high in ImageChops.difference(naive, background).getextrema())  # type: ignore[misc]
        rows.append(
            row(
                f"residue of the object, soft mask sigma {sigma} px",
                left,
                "levels",
                limit="0",
                baseline=f"{as_is} levels with the soft mask used as it is",
                ok=left == 0,
            )
        )
    return rows


# ----------------------------------------------------------------------------------------------------------------------


def _main() -> int:
    children: dict[str, Callable[..., dict[str, float] | None]] = {
        "make": lambda megapixels, folder: _make(int(megapixels), folder),
        "walk": _child_walk,
        "step": _child_step,
        "plan": _child_plan,
        "compose": _child_compose,
        "naive": _child_naive,
        "time": _child_time,
    }
    if sys.argv[1:2] == ["--child"]:
        # Looking takes time itself.
        workers = None if sys.argv[2] == "time" else WorkerPeaks()
        answer = children[sys.argv[2]](*sys.argv[3:]) or {}
        print(json.dumps({**answer, "peak": high_water_mark() + (workers.most if workers else 0)}))
        return 0
    raise SystemExit("It is run by `make bench ARGS='--only imaging'`.")


if __name__ == "__main__":
    sys.exit(_main())
