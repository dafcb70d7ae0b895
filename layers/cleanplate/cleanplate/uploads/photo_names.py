"""Which names are photos': one rule for every way in, from a local folder to a backfill.

Only a name that cannot be a photo's is left alone. One without an ending, or with an unknown one, is tried.
"""

from __future__ import annotations

from cleanplate.models import Photo
from cleanplate.uploads.options import OWN_MASK_SUFFIX, SIDECAR_SUFFIX

OTHER_FILE = "other file"
#: Skip reasons of files that say how a photo is cleaned.
COMPANIONS = frozenset({"sidecar", "own mask"})

#: What programs and cameras put beside photos, and what people keep in the same folders.
_NO_PHOTO_ENDINGS = frozenset(
    """
    aae cos dop lrcat lrdata lrprev lrv pp3 thm xmp
    3g2 3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv webm wmv
    aac aif aiff amr flac m4a mid mp3 oga ogg opus wav wma
    csv doc docx eml htm html ics json key log md msg numbers ods odp odt pages pdf ppt pptx rtf srt tsv txt vcf vtt
    xls xlsx xml yaml yml geojson gpx kml kmz plist cfg conf ini toml db sqlite
    7z apk app bat bz2 css deb dll dmg exe gz iso jar js lnk lock msi php pkg py rar rpm sh so tar tgz url webloc xz zip
    otf ttf woff woff2 asc md5 sha1 sha256 sig torrent crdownload download part partial tmp
    """.split()  # noqa: SIM905 - a list of a hundred lines says no more
)
#: macOS's second half of a file, and folders of the like.
_SHADOW = "._"
_SHADOW_FOLDERS = frozenset({"__MACOSX", "@eaDir"})
_NO_PHOTO_NAMES = frozenset(
    {"icon\r", ".ds_store", ".localized", ".apdisk", ".directory", ".nomedia", ".hidden", ".keep"}
    | {".gitignore", ".gitkeep", ".gitattributes", ".htaccess", ".bridgesort", ".bridgelabelsandratings"}
)


def ending(key: str) -> str:
    """Return the ending of a name in lower case, without the dot; empty where there is none."""
    stem, dot, last = key.rpartition("/")[2].rpartition(".")
    return last.lower() if dot and stem else ""


def skip_reason(photo: Photo, our_buckets: frozenset[str] = frozenset()) -> str:
    """Return why an upload is not a photo to clean; empty where it is one."""
    if photo.bucket in our_buckets:
        return "our own output"
    if photo.key.endswith(("/", "_$folder$")):
        return "folder marker"
    *folders, name = photo.key.split("/")
    if name.startswith(_SHADOW) or not _SHADOW_FOLDERS.isdisjoint(folders):
        return OTHER_FILE
    if name.endswith(SIDECAR_SUFFIX):
        return "sidecar"
    if name.endswith(OWN_MASK_SUFFIX):
        return "own mask"
    if name.lower() in _NO_PHOTO_NAMES or ending(name) in _NO_PHOTO_ENDINGS:
        return OTHER_FILE
    return ""
