"""Which error means what, and the errors that have no builtin of the same meaning.

Every function may raise these, and its docstring names only what it raises beside them:

- TypeError: an argument of another kind than the signature says, or a tensor of a dtype that the function does not take.
- ValueError: a tensor of more than 12 dimensions; shapes that do not broadcast, where a function broadcasts; an axis named twice; memory
  that is read-only, where a function writes.
- IndexError: an axis outside of the tensor's dimensions.
- MemoryError: a result that does not fit in memory. OverflowError: an int outside the range of the dtype that it meets.
- ww.DeviceError: tensors on different devices, or a device that is not there.

A layer raises what its function raises, and a class ValueError or TypeError for arguments that it could never compute with. The text of an
error names the function or class, the argument, what was expected, and what was given.
"""

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
