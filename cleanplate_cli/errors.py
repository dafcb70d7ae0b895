"""What can go wrong at a terminal. The message is for people: what happened, and what to do."""

from __future__ import annotations


class CommandError(Exception):
    """Something that a person can put right; shown as it is, without a stack trace."""


class PhotosError(CommandError):
    """The photos that were asked for are not there, or cannot be read."""


class OutError(CommandError):
    """Results cannot go where they were asked to go."""
