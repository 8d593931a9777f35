"""Debian's mosquitto, unpacked below .dev/peers together with the libraries that this machine has
not got. Nothing is installed, no service is started, no root is needed."""
import os
import pathlib
import re
import subprocess


def run(*command, cwd=None):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def missing_packages(name, seen):
    """`name` and those of its dependencies that are not installed, recursively."""
    seen.append(name)
    depends = run("apt-cache", "depends", "--no-recommends", "--no-suggests", "--no-conflicts",
                  "--no-breaks", "--no-replaces", "--no-enhances", name).stdout
    for other in re.findall(r"^\s*(?:Pre)?Depends: ([^<\s:]+)", depends, re.M):
        state = run("dpkg-query", "-W", "-f", "${db:Status-Status}", other).stdout
        if other.startswith("lib") and state != "installed" and other not in seen:
            missing_packages(other, seen)
    return seen


def library_path(root):
    dirs = sorted({str(path.parent) for path in root.rglob("*.so*")})
    return ":".join(dirs)


def get_mosquitto(root, say, fail):
    """(path, environment); downloads it at first."""
    home = pathlib.Path(root) / ".dev" / "peers" / "mosquitto"
    program = home / "root" / "usr" / "sbin" / "mosquitto"
    if not program.is_file():
        home.mkdir(parents=True, exist_ok=True)
        say("Downloading Debian's mosquitto into .dev/peers (not installed) …")
        for package in missing_packages("mosquitto", []):
            got = run("apt-get", "-o", "APT::Sandbox::User=root", "download", package, cwd=home)
            if got.returncode != 0:
                fail(f"cannot download {package}: {got.stderr.strip()}\n"
                     "Give another broker with --peer PATH, or none with --no-peer.")
        for deb in sorted(home.glob("*.deb")):
            run("dpkg", "-x", str(deb), str(home / "root"))
    if not program.is_file():
        fail(f"the package holds no {program.relative_to(home)}")
    env = dict(os.environ)
    env["LD_LIBRARY_PATH"] = library_path(home / "root")
    lost = re.findall(r"(\S+) => not found", subprocess.run(
        ["ldd", program], env=env, capture_output=True, text=True).stdout)
    if lost:
        fail("mosquitto lacks " + ", ".join(lost))
    return str(program), env
