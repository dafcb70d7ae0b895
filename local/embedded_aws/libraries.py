"""What functions are forked with: the libraries that they share, imported, and boto3's data about AWS, read.

Of ours nothing is here, and nothing that minds the environment or starts a thread when it is imported.
"""

from __future__ import annotations

import functools
import gc
from importlib import import_module

import boto3
import botocore.session

#: Not awslambdaric's client and its loop: these two read the environment.
_LIBRARIES = (
    "aws_lambda_powertools.metrics", "aws_lambda_powertools.utilities.parameters", "awslambdaric.lambda_context",
    "awslambdaric.lambda_runtime_log_utils", "awslambdaric.lambda_runtime_marshaller", "PIL.ImageCms", "PIL.ImageFilter",
    "PIL.ImageMath", "PIL.ImageOps", "requests",
)  # fmt: skip
_SERVICES = ("dynamodb", "events", "s3", "secretsmanager", "sqs", "stepfunctions")

for _name in _LIBRARIES:
    import_module(_name)
# A session finds the data that another one has read; in each process there is one of the function's own.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)
_session = boto3.Session("none", "none", region_name="us-east-1")
for _name in _SERVICES:
    _session.client(_name).close()  # type: ignore[call-overload]
gc.collect()
gc.freeze()  # the collector leaves the shared pages alone
