"""Man pages and shell completion, as the build makes them from the tables of options."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from toolbox import BIN, Terminal, Tools

SHARE = pathlib.Path(os.path.realpath(BIN / "nj")).parent / "share"
PAGES = sorted(page.name for page in SHARE.glob("*.[158]"))

pytestmark = pytest.mark.skipif(not PAGES, reason="no man pages were made")


def commands():
    said = subprocess.run([SHARE / "write_manual", "pages"], capture_output=True, text=True,
                          check=True).stdout
    return dict(line.split() for line in said.splitlines())


def test_every_command_has_a_page_and_every_page_a_command():
    assert set(PAGES) == {f"{page}.1" for page in commands()} | {
        "nj.1", "nightjar.8", "nightjar.conf.5"}


def test_the_build_file_knows_the_names_of_the_originals():
    """A command that is missing there would have no page and no alias."""
    source = pathlib.Path(__file__).parents[2] / "apps/nj/share/meson.build"
    listed = dict(re.findall(r"^  '([a-z-]+)': '((?:mosquitto_\w+)?)',$", source.read_text(), re.M))
    assert listed == {page.removeprefix("nj-"): "" if program == "-" else program
                      for page, program in commands().items()}


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_clean_for_man(page):
    if not shutil.which("man"):
        pytest.skip("no man here")
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", SHARE / page],
                          capture_output=True, text=True, check=False,
                          env={"LC_ALL": "C.UTF-8", "MANWIDTH": "80", "PATH": os.environ["PATH"]})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_clean_for_mandoc(page):
    if not shutil.which("mandoc"):
        pytest.skip("no mandoc here")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", SHARE / page],
                          capture_output=True, text=True, check=False)
    assert done.stdout == "" and done.stderr == ""


@pytest.mark.parametrize("word", [page.removeprefix("nj-") for page in commands()] if PAGES else [])
def test_a_page_has_every_option_of_the_help(word):
    page = (SHARE / f"nj-{word}.1").read_text().replace("\\-", "-")
    text = Tools("native").run(word, "--help").out.decode()
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))
    assert options or word == "store"
    missing = {option for option in options if option not in page}
    assert missing <= {"--help"}, missing


def test_the_manual_of_the_configuration_has_every_option():
    page = (SHARE / "nightjar.conf.5").read_text()
    reference = pathlib.Path(__file__).parents[2] / "docs/configuration.md"
    options = re.findall(r"^\| `(\w+)` \|", reference.read_text(), re.M)
    assert len(options) > 100
    assert [o for o in options if f"\\fB{o}\\fR" not in page] == []


# ---- bash

TRIES = [
    ("nj p", {"pub", "passwd"}), ("nj pub --to", {"--topic"}), ("nj pub -q _", {"0", "1", "2"}),
    ("nj pub --will-qos _", {"0", "1", "2"}), ("nj sub --retain-handling n", {"new", "never"}),
    ("mosquitto_pub --ca", {"--cafile", "--capath"}), ("mosquitto_rr -V mqttv5", {"mqttv5"}),
    ("nj signal c", {"config-reload"}), ("mosquitto_signal s", {"shutdown"}),
    ("/usr/bin/nj sub --wat", {"--watch"}), ("nightjar --test", {"--test-config"}),
    ("nightjar --compat m", {"mosquitto"}), ("nj explain su", {"subscribe"}),
    ("nj pub --will-topic _", set()), ("nj passwd -H a", {"argon2id"}), ("nj nothing -", set()),
    ("nj check --as p", {"passwords"}),
]


@pytest.mark.parametrize("line, wanted", TRIES)
def test_bash_completes(line, wanted, tmp_path):
    words = line.replace("_", "", 1).split(" ") if line.endswith(" _") else line.split(" ")
    script = f"""source {SHARE}/nj
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _nj; for one in "${{COMPREPLY[@]}}"; do printf '%s\\n' "$one"; done"""
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", *words], capture_output=True,
                          text=True, check=True, cwd=tmp_path)
    assert done.stderr == ""
    assert set(done.stdout.split()) == wanted


def test_bash_completes_files_where_files_are_wanted(tmp_path):
    (tmp_path / "server one.crt").touch()
    (tmp_path / "sub").mkdir()
    for line, wanted in [("nj pub --cafile s", {"server one.crt", "sub"}),
                         ("nj pub --capath s", {"sub"}), ("nj check s", {"server one.crt", "sub"})]:
        script = f"""source {SHARE}/nj
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _nj; for one in "${{COMPREPLY[@]}}"; do printf '%s\\n' "$one"; done"""
        done = subprocess.run(["bash", "--norc", "-c", script, "bash", *line.split()],
                              capture_output=True, text=True, check=True, cwd=tmp_path)
        assert set(done.stdout.splitlines()) == wanted


def test_bash_knows_which_programs_it_completes():
    script = f"source {SHARE}/nj; complete -p nj nightjar mosquitto_pub mosquitto_signal"
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True,
                          check=True)
    assert done.stdout.count("-F _nj") == 4


# ---- zsh

@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
@pytest.mark.parametrize("line, wanted", [("nj expl", "nj explain"),
                                          ("nj pub --stdin-l", "--stdin-line"),
                                          ("mosquitto_sub --remove-r", "--remove-retained"),
                                          ("nightjar --test", "--test-config")])
def test_zsh_completes(line, wanted):
    shell = Terminal([shutil.which("zsh"), "-f", "-i"], env={"PATH": os.environ["PATH"]})
    try:
        shell.type(f"fpath=({SHARE} $fpath); autoload -Uz compinit; compinit -u -D; "
                   "print READY-$((1+1))\n")
        shell.wait_for("READY-2")
        shell.type(f"{line}\t\x0c")  # completes, and draws the line anew
        shell.wait_for(re.escape(wanted))
    finally:
        shell.kill()
