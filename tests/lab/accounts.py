"""Who owns files in packages: accounts that only exist where the package is installed."""

from __future__ import annotations

import os
import shutil

NUMBERS = {"nginx": 60001, "redis": 60002}
"""Stand for the accounts while a package is made; apk stores their names."""

GROUPS = {**NUMBERS, "www-data": 60082}


def owned(path: str, user: str, group: str | None = None) -> None:
    """Give a file or directory of a package to an account."""
    os.chown(path, NUMBERS[user] if user != "root" else 0, GROUPS[group or user])


def declare(root: str, machine: str) -> None:
    """Tell a root file system in which packages are made of these accounts, and of those that a machine has."""
    os.makedirs(f"{root}/etc")
    for name, numbers in {"passwd": NUMBERS, "group": GROUPS}.items():
        shutil.copy(f"{machine}/etc/{name}", f"{root}/etc/{name}")
        with open(f"{root}/etc/{name}", "a", encoding="utf-8") as file:
            file.writelines(f"{account}:x:{number}:{number}::/:/sbin/nologin\n" for account, number in numbers.items())
