"""Errors of local commands. The message is for people: what happened, and what to do."""

from __future__ import annotations

from cleanplate_cli.errors import CommandError


class LocalError(CommandError):
    """Something that a person can correct; shown as it is, without a stack trace."""


class PortTakenError(LocalError):
    """Another program listens where we were told to."""


class AwsStoppedError(LocalError):
    """The embedded AWS did not start, or ended by itself."""


class AdobeStandInStoppedError(LocalError):
    """Adobe's stand-in did not start, or ended by itself."""


class DeployError(LocalError):
    """The template could not be deployed."""
