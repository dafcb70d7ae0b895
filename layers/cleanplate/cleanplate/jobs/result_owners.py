"""Who owns a key of the results bucket: one arbiter for result, manifest and record, in one item per key.

An item names the *owner* of its key, the job whose result is to be there, and the *writer*, the job that is writing there
now. The newest claim of a photo owns its key; another photo never gets it. Only who holds a key as its writer may write
the result or the manifest there, so both are always of one job. A writer that died gives way when its lease ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cleanplate.aws.dynamodb import Table
from cleanplate.errors import LedgerBusyError, PhotoReplacedError, ResultKeyTakenError
from cleanplate.models import Job

#: Longer than any function that writes results may live (300 s). Seconds.
HOLD_SECONDS = 400.0
#: When to look again whether another job has finished writing. Seconds.
_LOOK_AGAIN_SECONDS = 5.0


class ResultOwners:
    """The owners of the results bucket's keys. Times are seconds since the epoch."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def take(self, job: Job, key: str, *, now: float) -> None:
        """Make the job the owner of a key.

        Raises :class:`PhotoReplacedError` where a newer claim of the same photo owns it, and
        :class:`ResultKeyTakenError` where another photo does.
        """
        there = self._table.update(
            owner_key(key),
            {
                "owner": job.job_id,
                "photo": _photo(job),
                "claimed_at": job.claimed_at,
                "expires_at": self._table.expiry(now),
            },
            condition="attribute_not_exists(#owner) OR #owner = :owner"
            " OR (#photo = :photo AND #claimed_at <= :claimed_at)",
        )
        if there is not None:
            raise _refusal(job, key, there)

    def owner(self, key: str) -> str:
        """Return the id of the job that owns a key, empty where none does."""
        return str((self._table.get(owner_key(key)) or {}).get("owner", ""))

    def hold(self, job: Job, key: str, *, now: float, has_finished: Callable[[str], bool]) -> None:
        """Make the job, which owns a key, the one that writes there; of it alone come result and manifest from now on.

        ``has_finished`` tells of another job whether its outcome is published, so that nothing more comes of it. Raises
        as :meth:`take` does, and :class:`LedgerBusyError` while another job is still writing.
        """
        finished = ""
        for _ in range(3):
            there = self._table.update(
                owner_key(key),
                {"writer": job.job_id, "writing_until": now + HOLD_SECONDS},
                condition="#writer = :writer OR (#owner = :writer AND "
                "(attribute_not_exists(#writer) OR #writing_until < :now OR #writer = :finished))",
                now=now,
                finished=finished,
            )
            if there is None:
                return
            if "owner" not in there:
                self.take(job, key, now=now)
                continue
            if there["owner"] != job.job_id:
                raise _refusal(job, key, there)
            finished = there["writer"]
            if not has_finished(finished):
                break
        raise LedgerBusyError(f"Job {finished} is writing at {key}.", now + _LOOK_AGAIN_SECONDS)


def owner_key(key: str) -> str:
    """Return the key of the item that says who owns a key of the results bucket."""
    return f"result#{key}"


def _photo(job: Job) -> str:
    # A bucket's name has no slash, so no two photos share one.
    return f"{job.photo.bucket}/{job.photo.key}"


def _refusal(job: Job, key: str, there: Mapping[str, Any]) -> PhotoReplacedError | ResultKeyTakenError:
    if there.get("photo", _photo(job)) == _photo(job):
        return PhotoReplacedError(
            f"{job.photo.key} was uploaded or asked for again, and that job's result is at {key}."
        )
    return ResultKeyTakenError(f"The result would lie at {key}, where that of {there['photo']} is.", there["photo"])
