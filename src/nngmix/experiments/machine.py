"""What a run ran on, and with which versions: numbers mean little without."""

import contextlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

# What has a say in the numbers.
_PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "imbalanced-learn",
    "torch",
    "rtdl_revisiting_models",
    "catboost",
    "xgboost",
)


def describe_machine() -> dict[str, Any]:
    """Describe this machine and what is installed, without naming either owner or host.

    Returns
    -------
    dict
        ``processor``, ``cores``, ``memory`` (bytes, or None), ``system``, ``python``, ``nngmix``,
        and ``packages``, a dict of versions.

    Examples
    --------
    >>> about = describe_machine()
    >>> about["cores"] >= 1, "numpy" in about["packages"]
    (True, True)
    """
    from nngmix import __version__

    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "nngmix": __version__,
        "packages": packages,
    }


def _processor() -> str:
    if sys.platform == "linux":
        try:
            with open("/proc/cpuinfo", encoding="utf-8") as file:
                for line in file:
                    if line.startswith("model name"):
                        return line.split(":", 1)[1].strip()
        except OSError:
            pass
    elif sys.platform == "darwin":
        # platform.processor() tells the family only.
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
            return told.stdout.strip()
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
