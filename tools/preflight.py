"""Says in one sentence why the environment cannot be set up here. Runs before it is: plain enough for Python 3.6."""

import platform
import shutil
import sys

# Before, the code does not run; after, the tested torch has no wheel (constraints.txt).
OLDEST, NEWEST = 11, 14


def fault() -> "str | None":
    """What stands in the way, or None."""
    major, minor = sys.version_info[:2]
    here = f"{sys.executable} is Python {major}.{minor}"
    if major != 3 or not OLDEST <= minor <= NEWEST:
        usable = [name for name in (f"python3.{m}" for m in range(OLDEST, NEWEST + 1)) if shutil.which(name)]
        name = usable[0] if usable else f"/path/to/python3.{OLDEST}"
        return f"Python 3.{OLDEST} to 3.{NEWEST} is needed, but {here}: say make PYTHON={name}"
    if platform.system() == "Darwin" and platform.machine() == "x86_64":
        return f"{here} for Intel Macs, for which torch has no wheel: use a Python for Apple silicon."
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return f"{here} without venv; install it first (Debian, Ubuntu: apt install python3.{minor}-venv)."
    return None


if __name__ == "__main__":
    sys.exit(fault())
