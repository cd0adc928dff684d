"""Errors that have no builtin of the same meaning."""

from __future__ import annotations


class DeviceError(RuntimeError):
    """A device that is not there, tensors on different devices, or a launch that failed.

    >>> import whitewolf as ww
    >>> try:
    ...     ww.zeros(1, device="abacus")
    ... except ww.DeviceError as error:
    ...     print(error)
    device: expected one of cpu, cudasim, cuda, got 'abacus'
    """


class StaleTensorError(RuntimeError):
    """Backward needs a value that was overwritten after the forward pass saved it.

    >>> import whitewolf as ww
    >>> x, y = ww.ones(2, requires_grad=True), ww.ones(2)
    >>> z = x * y
    >>> y[0] = 5.0
    >>> try:
    ...     z.sum().backward()
    ... except ww.StaleTensorError as error:
    ...     print(str(error)[:33])
    multiply: expected the tensor it
    """


class FileFormatError(ValueError):
    """A file that is not what it says it is: truncated, corrupted or hostile.

    >>> import pathlib, tempfile, whitewolf as ww
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "x.safetensors"
    >>> _ = path.write_bytes(b"no header")
    >>> try:
    ...     ww.load(path)
    ... except ww.FileFormatError:
    ...     print("refused")
    refused
    """
