"""How far the photos of a folder are: counts that are written together with the very change that they count.

A job moves from waiting to in work to one of its ends. Each move is one transaction of the job's item and two
counts, its folder's and its bucket's, and the job's condition decides all three: whatever is redelivered, repeated or
cut short, a photo is counted exactly once, in exactly one column. A folder is everything up to a key's last ``/``;
folders inside it are folders of their own.

A mask that waits for approval and expires ends a second time: that counts as a run begun and ended in that moment.

Each count is spread over ``SHARDS`` items by job id, so that callers at work at once seldom meet in one. A job always
counts in the same shard, so no shard is ever below zero.

**Cost per photo** that meets no delay, as DynamoDB counts it for records of usual size: 20 write units (claim 6, to work
6, end 8; two counts take 4 of each), where 5 would do to write the job alone. Besides 2 for the last photo of a folder, and 5 for
the index of open jobs (see ``ledger``).
A read unit at the claim, one at the end, and 16 more where no other photo of the shard is open, to see whether the whole
folder is done, and again when it has been quiet. A message that comes back from waiting costs one read unit.

**A report** is one batch of 16 small items (a folder and its bucket) and the rate limiter's item, 17 read units in two calls,
whatever the number of photos.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cleanplate.aws.dynamodb import Table, update_of
from cleanplate.models import TERMINAL, Job, JobStatus, Photo

SHARDS = 8

_COLUMNS: Mapping[JobStatus, str] = {
    "claimed": "waiting",
    "masking": "in_work",
    "filling": "in_work",
    "cleaned": "cleaned",
    "nothing_to_remove": "nothing_to_remove",
    "mask_ready": "mask_ready",
    "failed": "failed",
}
_SUMMED = ("waiting", "in_work", "cleaned", "nothing_to_remove", "mask_ready", "failed", "begun")
_FAILED_FOR = "failed for "


@dataclass(frozen=True, slots=True)
class FolderCounts:
    """The photos of a folder or a bucket, each in one column; ``failed_for`` splits the failed ones by reason.

    ``begun`` counts runs ever begun and ``begun_at`` is when the last of them was: together they name a completion of
    the folder: the next one begins with another run, or with a mask that expires. Times are seconds since the epoch.
    """

    waiting: int = 0
    in_work: int = 0
    cleaned: int = 0
    nothing_to_remove: int = 0
    mask_ready: int = 0
    failed: int = 0
    failed_for: Mapping[str, int] = field(default_factory=dict)
    begun: int = 0
    begun_at: float = 0.0
    ended_at: float = 0.0

    @property
    def open(self) -> int:
        """Photos that have not ended."""
        return self.waiting + self.in_work

    @property
    def is_complete(self) -> bool:
        """True where every photo has ended."""
        return self.open == 0 and self.begun > 0

    @property
    def photos(self) -> int:
        """All of them."""
        return self.open + self.cleaned + self.nothing_to_remove + self.mask_ready + self.failed


@dataclass(frozen=True, slots=True)
class FolderScope:
    """A folder of a bucket, with its last slash, empty for the top of the bucket; or with None the whole bucket."""

    bucket: str
    folder: str | None = None

    @classmethod
    def of(cls, photo: Photo) -> FolderScope:
        """Return the folder that a photo lies in."""
        return cls(photo.bucket, photo.key[: photo.key.rfind("/") + 1])

    @property
    def name(self) -> str:
        """Its partition key in the Jobs table; a bucket's name has no slash, so no two scopes share one."""
        return f"bucket#{self.bucket}" if self.folder is None else f"folder#{self.bucket}/{self.folder}"

    def shards(self) -> list[str]:
        """Return the partition keys of its shards."""
        return [f"{self.name}#{shard}" for shard in range(SHARDS)]

    def shard_of(self, job_id: str) -> str:
        """Return the partition key of the shard in which a job counts."""
        return f"{self.name}#{int(job_id[-8:], 16) % SHARDS}"


def counted_moves(table: Table, before: Job | None, after: Job, *, now: float) -> list[dict[str, Any]]:
    """Return what a job's change adds to the counts, to be written with it; nothing where it stays in its column.

    ``before`` is None for a new job. Another run is counted where the one before had failed.
    """
    if before is not None and (before.run, _COLUMNS[before.status]) == (after.run, _COLUMNS[after.status]):
        return []
    added = {_COLUMNS[after.status]: 1, **({_COLUMNS[before.status]: -1} if before else {})}
    has_begun = before is None or before.run != after.run
    # A mask that expires: whoever got the event that the folder is done gets another of how it is now.
    has_ended_again = before is not None and before.run == after.run and before.status in TERMINAL
    for job, count in ((before, -1), (after, 1)):
        if job is not None and job.status == "failed" and job.outcome.get("reason"):
            added[f"{_FAILED_FOR}{job.outcome['reason']}"] = count
    times: dict[str, object] = {} if has_begun else {"ended_at": now}
    if has_begun or has_ended_again:
        added["begun"] = 1
        times["begun_at"] = now
    times["expires_at"] = table.expiry(now)
    scopes = (FolderScope.of(after.photo), FolderScope(after.photo.bucket))
    return [{"Update": update_of(table.name, scope.shard_of(after.job_id), times, add=added)} for scope in scopes]


class Progress:
    """Read the counts, and decide which job publishes that a folder is done."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, *scopes: FolderScope) -> list[FolderCounts | None]:
        """Return the counts of each scope; None where no photo of it is known. Up to six scopes are one call."""
        found = self._table.get_many(key for scope in scopes for key in scope.shards())
        shards = [[found[key] for key in scope.shards() if key in found] for scope in scopes]
        return [_sum(items) if items else None for items in shards]

    def in_work(self, buckets: Iterable[str]) -> int:
        """Return how many photos of these buckets are begun, so that they will need their fills, and have not ended."""
        return sum(counts.in_work for counts in self.read(*map(FolderScope, buckets)) if counts)

    def counts_at_end(self, scope: FolderScope, job_id: str) -> FolderCounts | None:
        """Return the counts of a job's folder where its last photo has ended; else None."""
        own = self._table.get(scope.shard_of(job_id)) or {}
        # While a photo of the own shard is open, the folder is; the last one to end in its shard looks at them all.
        if _sum([own]).open > 0:
            return None
        counts = self.read_at_once(scope)
        return counts if counts.is_complete else None

    def record_published(self, scope: FolderScope, job_id: str, counts: FolderCounts) -> None:
        """Record that the event of the folder's completion was published."""
        mine = "#by = :job AND #round_at = :at AND #round_number = :number"
        self._table.update(
            scope.name, {"said": True}, condition=mine, at=counts.begun_at, number=counts.begun, job=job_id
        )

    def claim_completion(self, scope: FolderScope, counts: FolderCounts, job_id: str, *, now: float) -> bool:
        """Return whether this job is the one to publish that the folder is done.

        The same job may ask again, until :meth:`record_published`: whoever makes up for a call that was cut short publishes it.
        """
        # By number, whatever the clocks say; by time where a shard has expired, which lowers the number.
        newer = "#round_number < :round_number OR #round_at < :round_at"
        mine = "#round_at = :round_at AND #round_number = :round_number AND #by = :by AND #said = :said"
        completion = {
            "round_at": counts.begun_at,
            "round_number": counts.begun,
            "by": job_id,
            "said": False,
            "expires_at": self._table.expiry(now),
        }
        free = f"attribute_not_exists(#round_at) OR {newer} OR ({mine})"
        return self._table.update(scope.name, completion, condition=free) is None

    def read_at_once(self, scope: FolderScope) -> FolderCounts:
        """Return all shards as they are at one moment: read one after the other they could show an end that never was."""
        return _sum(self._table.get_at_once(scope.shards()))


def _sum(shards: Iterable[Mapping[str, Any]]) -> FolderCounts:
    added: dict[str, int] = {}
    begun_at = ended_at = 0.0
    for shard in shards:
        begun_at = max(begun_at, shard.get("begun_at", 0.0))
        ended_at = max(ended_at, shard.get("ended_at", 0.0))
        for name, value in shard.items():
            if name in _SUMMED or name.startswith(_FAILED_FOR):
                # Below zero only where somebody deleted the item in mid-run.
                added[name] = added.get(name, 0) + max(0, value)
    failed_for = {
        name.removeprefix(_FAILED_FOR): count
        for name, count in sorted(added.items())
        if name.startswith(_FAILED_FOR) and count
    }
    columns = {name: added.get(name, 0) for name in _SUMMED}
    return FolderCounts(failed_for=failed_for, begun_at=begun_at, ended_at=ended_at, **columns)
