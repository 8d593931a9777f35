"""Fixtures of the tests in system and conformance. system/README.md says how to run them against
another broker."""
import itertools
import os
import pathlib
import re
import shutil
import signal
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "support"))

import certs  # noqa: E402
from brokerproc import Broker, Options  # noqa: E402
from scenes import open_broker  # noqa: E402
from mqttwire import V31, V311, V5, Conn  # noqa: E402

TEST_TIMEOUT = int(os.environ.get("NJ_TEST_TIMEOUT", "120"))


def pytest_addoption(parser):
    parser.addoption("--broker", default=os.environ.get("NJ_BIN"),
                     help="the broker to test (default: build/bin/nightjar, or NJ_BIN)")
    parser.addoption("--mode", default=os.environ.get("NJ_MODE", "native"),
                     choices=["native", "compat"],
                     help="mode of the tests that do not choose one themselves")
    parser.addoption("--store", default=os.environ.get("NJ_STORE"),
                     choices=[None, "ram", "chaos", "lmdb"],
                     help="store behind brokers whose configuration does not say: ram (default), "
                          "chaos (late), lmdb (durable)")


def pytest_configure(config):
    broker = config.getoption("--broker") or str(ROOT / "build" / "bin" / "nightjar")
    found = shutil.which(broker)
    if not found:
        raise pytest.UsageError(f"--broker: there is no program {broker}; ./dev build makes one")
    Options.binary = os.path.abspath(found)  # brokers start in folders of their own
    Options.mode = config.getoption("--mode")
    Options.store = config.getoption("--store")
    if Options.is_oracle():
        Options.mode = "compat"


def pytest_collection_modifyitems(items):
    for item in items:
        if re.search(r"test_(L|B|S|F)\d+_", item.name):
            item.add_marker(pytest.mark.ledger)


def pytest_runtest_setup(item):
    for mark in item.iter_markers("needs"):
        if "nightjar" in mark.args and Options.is_oracle():
            pytest.skip("about nightjar alone")
        modes = {"native", "compat"} & set(mark.args)
        if modes and Options.mode not in modes and "mode" not in item.fixturenames:
            pytest.skip(f"about {', '.join(modes)} mode")
        if Options.is_oracle() and "native" in modes and "compat" not in modes:
            pytest.skip("about native mode")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """A test that hangs is a failure with a story, not a hung suite."""
    def too_long(_signal, _frame):
        raise AssertionError(f"the test took longer than {TEST_TIMEOUT} s")
    old = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(TEST_TIMEOUT * (5 if item.get_closest_marker("slow") else 1))
    Conn.made.clear()
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    item.stash.setdefault(REPORTS, {})[report.when] = report
    if report.when != "call" or not report.failed:
        return
    for broker in item.stash.get(BROKERS, []):
        report.sections.append((f"broker {broker.mode}", broker.tail()))
    report.sections.append(("packets", "\n".join(c.story() for c in list(Conn.made)[-6:])))


BROKERS = pytest.StashKey()
REPORTS = pytest.StashKey()


def _register(request, broker):
    request.node.stash.setdefault(BROKERS, []).append(broker)


def _close_connections():
    for conn in list(Conn.made):
        conn.close()


@pytest.fixture
def broker(request):
    """A factory of brokers that belong to one test: broker(config, files=…, mode=…). They are
    started unless start=False, and have to end well."""
    made = []

    def make(config="", start=True, **options):
        one = Broker(config, **options)
        made.append(one)
        _register(request, one)
        return one.start() if start else one

    yield make
    _close_connections()
    failed = getattr(request.node.stash.get(REPORTS, {}).get("call"), "failed", False)
    problems = []
    for one in made:
        try:
            one.stop()
        except AssertionError as problem:
            problems.append(str(problem))
        one.remove()
    if not failed:
        assert not problems, "\n".join(problems)


_shared = {}


@pytest.fixture
def shared_broker(request):
    """A factory of brokers that live as long as the test run, one for each (config, mode): for
    tests that keep to their own topics and client ids."""
    used = []

    def get(config="", mode=None, files=None, **options):
        mode = mode or Options.mode
        key = (config, mode, repr(files), repr(sorted(options.items())))
        one = _shared.get(key)
        if one is None or not one.is_running():
            one = _shared[key] = Broker(config, files=files, mode=mode, **options).start()
        one.checked = one.mark()
        one.expected_errors = []
        used.append(one)
        _register(request, one)
        return one

    yield get
    _close_connections()
    for one in used:
        if not one.is_running():
            raise AssertionError(f"the broker died: {one.process.returncode}\n{one.tail()}")
        one.check_log()


def pytest_sessionfinish(session):
    problems = []
    for one in _shared.values():
        try:
            if one.is_running():
                one.stop()
        except AssertionError as problem:
            problems.append(str(problem))
        one.remove()
    if problems:
        sys.stderr.write("\nshared brokers ended badly:\n" + "\n".join(problems) + "\n")
        session.exitstatus = 1


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """An authority with a server and a client certificate, written to files."""
    folder = tmp_path_factory.mktemp("pki")
    folder.chmod(0o755)

    class Pki:
        dir = folder
        ca = certs.authority()
        server = ca.issue("localhost", purpose="server", names=["localhost", "127.0.0.1"])
        client = ca.issue("demo-client")

        @staticmethod
        def path(name):
            return folder / name

    Pki.ca.write(folder, "ca")
    Pki.server.write(folder, "server")
    Pki.client.write(folder, "client")
    return Pki


@pytest.fixture
def plain(shared_broker):
    """The shared open broker: anonymous clients may do everything, over every transport."""
    return open_broker(shared_broker)


VERSIONS = {"v31": V31, "v311": V311, "v5": V5}


@pytest.fixture(params=list(VERSIONS.values()), ids=list(VERSIONS))
def version(request):
    """MQTT 3.1, 3.1.1 and 5."""
    return request.param


@pytest.fixture(params=["tcp", "tls", "ws", "wss", "unix"])
def transport(request):
    return request.param


@pytest.fixture(params=["native", "compat"])
def mode(request):
    """Both modes, for what differs between them."""
    if Options.is_oracle() and request.param == "native":
        pytest.skip("the oracle has one mode")
    return request.param


@pytest.fixture
def uid():
    """A name that no other test uses, good for topics and client ids."""
    return f"t{next(_uids)}"


_uids = itertools.count(1)
