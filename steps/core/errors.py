"""Errors that end a step, one class per exit code (CONTRACT §7).

The message is one line for an operator: it names the file, record, field or setting, and what to do.
"""

from __future__ import annotations


class StepError(Exception):
    """An error with a clear message and an exit code that tells Airflow whether a retry can help."""

    exit_code = 70


class UsageError(StepError):
    """The command line is wrong."""

    exit_code = 64


class DataError(StepError):
    """Input data cannot be used: unreadable shard, changed source, too many quarantined documents."""

    exit_code = 65


class ServiceError(StepError):
    """A service (store, MLflow, endpoint) does not answer; a retry may help."""

    exit_code = 69


class StorageFullError(StepError):
    """A disk or bucket is full or cannot be written; a retry may help after somebody made room."""

    exit_code = 74


class CredentialError(StepError):
    """The store refused the credentials."""

    exit_code = 77


class ConfigError(StepError):
    """The configuration or recipe is invalid; the message lists every error at once."""

    exit_code = 78


class VerdictRefused(StepError):
    """A verdict is missing, forged, stale, for other data, or not a pass."""

    exit_code = 78


class ReviewNeeded(VerdictRefused):
    """The verdict passed, but no longer holds for what is left of its documents: back to review, with a new look."""

    exit_code = 79


class Overtaken(ServiceError):
    """Somebody else changed the catalog first: what rests on its former state must be done again."""
