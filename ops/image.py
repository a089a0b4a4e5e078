"""``make image``: ``docker build`` that reaches the packages that this host's pip reaches.

What pip is told here (an index, a certificate, a proxy) goes into ``compose/build`` for the time of
the build, and there into a stage of which the image keeps nothing: no address of an index is
committed or shipped. Like ``install`` it knows the standard library alone.
"""

from __future__ import annotations

import ast
import configparser
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

IMAGE = "tessera:local"  # compose.yaml's default too.
HANDED_ON = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
PROXIES = ("http_proxy", "https_proxy", "no_proxy")  # Docker keeps these out of the image.


def build(environment: Mapping[str, str], folder: Path) -> int:
    """Build ``folder``'s image as APP_IMAGE, from BASE_IMAGE; return the exit code."""
    if shutil.which("docker") is None:
        print("tessera: there is no docker here; on Debian: apt-get install docker.io")
        return 2
    handed_on = folder / "compose" / "build"
    try:
        hand_on(told(_pip_config()), handed_on)
        return subprocess.run(_words(environment), cwd=folder, check=False).returncode  # noqa: S603 - our own words, and no shell.
    finally:
        shutil.rmtree(handed_on, ignore_errors=True)


def told(lines: Iterable[str]) -> dict[str, str]:
    """What ``pip config list`` says, with what comes later (the environment) before the files."""
    found: dict[str, str] = {}
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        name, is_set, value = line.partition("=")
        if is_set:
            found[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    return found


def hand_on(options: Mapping[str, str], to: Path) -> None:
    """Write a pip.conf of what is of use elsewhere too: addresses, not this host's folders."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    kept = {name: _elsewhere(options[name]) for name in HANDED_ON if name in options}
    if certificate := options.get("cert"):
        shutil.copyfile(certificate, to / "cert.pem")
        kept["cert"] = "/build/cert.pem"
    config = configparser.RawConfigParser()
    config["global"] = {name: value for name, value in kept.items() if value}
    with (to / "pip.conf").open("w", encoding="utf-8") as file:
        config.write(file)


def _elsewhere(value: str) -> str:
    return " ".join(word for word in value.split() if not word.startswith(("file:", "/", ".")))


def _pip_config() -> list[str]:
    words = [sys.executable, "-m", "pip", "config", "list"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()  # noqa: S603 - as above.


def _words(environment: Mapping[str, str]) -> list[str]:
    # The host's network: a proxy on it may listen for this machine alone.
    words = ["docker", "build", "--network", "host", "--file", "compose/Dockerfile"]
    if base := environment.get("BASE_IMAGE"):
        words += ["--build-arg", f"BASE_IMAGE={base}"]
    for name in PROXIES:
        if name in environment or name.upper() in environment:
            # With its value from the environment: not in a list of processes.
            words += ["--build-arg", name if name in environment else name.upper()]
    return [*words, "--tag", environment.get("APP_IMAGE") or IMAGE, "."]


if __name__ == "__main__":
    sys.exit(build(os.environ, Path(__file__).parents[1]))
