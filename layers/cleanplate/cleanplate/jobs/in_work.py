"""How many photos are in work, exactly: begun, so that they will need their fills, and not ended.

The number is spread over ``SHARDS`` items of the Jobs table and changed in the very transactions that begin and end a
photo, so it never forgets one however long Adobe takes. Who lets new photos in keeps room for the fills of all these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleanplate.aws.dynamodb import bound, get_many, item_key
from cleanplate.jobs.folder_counts import SHARDS
from cleanplate.models import Job, JobStatus

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_IN_WORK = frozenset[JobStatus]({"masking", "filling"})


def in_work_moves(table: str, before: Job | None, after: Job) -> list[TransactWriteItemTypeDef]:
    """Return what a job's change adds, to be written with it; nothing where it neither begins nor ends its work."""
    added = (after.status in _IN_WORK) - (before is not None and before.status in _IN_WORK)
    if not added:
        return []
    update: Any = {
        "TableName": table,
        "Key": item_key(_shard(int(after.job_id[-8:], 16) % SHARDS)),
        "UpdateExpression": "ADD in_work :added",
        "ExpressionAttributeValues": bound(added=added),
    }
    return [{"Update": update}]


def count_in_work(client: DynamoDBClient, table: str) -> int:
    """Return how many photos are in work. One call, eight read units."""
    found = get_many(client, table, (_shard(number) for number in range(SHARDS)))
    # Below zero only where somebody deleted an item in mid-run.
    return sum(max(0, int(item["in_work"]["N"])) for item in found.values())


def _shard(number: int) -> str:
    return f"in-work#{number}"
