"""Where what is compiled on this machine is kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """WHITEWOLF_CACHE_DIR, or whitewolf in XDG_CACHE_HOME, or ~/.cache/whitewolf."""
    own = os.environ.get("WHITEWOLF_CACHE_DIR")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whitewolf"
