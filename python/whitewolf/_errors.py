"""Errors that have no builtin of the same meaning."""

from __future__ import annotations


class DeviceError(RuntimeError):
    """A device that is not there, tensors on different devices, or a launch that failed."""


class StaleTensorError(RuntimeError):
    """Backward needs a value that was overwritten after the forward pass saved it."""


class FileFormatError(ValueError):
    """A file that is not what it says it is: truncated, corrupted or hostile."""
