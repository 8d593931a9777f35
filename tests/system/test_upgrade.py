"""A store that an older broker wrote, under a broker of today; and one that a newer one wrote.

tests/support/stores/format-1.tar.xz is what the last broker that wrote format 1 left when it was
killed; tests/support/old_store.py says what is in it."""
import pathlib
import re

import pytest

import mqttwire as mw
import old_store
from brokerproc import Options
from old_store import HEAD, SITE_A, SITE_B, settings, stored
from toolbox import Tools

pytestmark = [pytest.mark.needs("nightjar", "native"),  # sessions have no owner in compat mode
              pytest.mark.skipif(Options.store == "chaos", reason="has a store of its own")]

TOOLS = Tools("native")
FORMAT = 2


def store(*args):
    return TOOLS.run("store", *args)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def format_record(number):
    """Key and value as they stand beside each other in a page (src/store/record.h)."""
    fields = bytes([number])
    crc = crc32c(b"m" + b"\1" + b"format" + fields)
    return b"format" + b"\1" + crc.to_bytes(4, "little") + fields


def change_format(folder, old_number, new_number):
    """As a broker would have written it that knows that format."""
    path = folder / "data.mdb"
    data = path.read_bytes()
    assert format_record(old_number) in data
    path.write_bytes(data.replace(format_record(old_number), format_record(new_number)))


OLD = f"has format 1; this program writes format {FORMAT}. Start the broker once to bring it up"


@pytest.fixture
def old(broker):
    """A broker that has not been started yet, on the old store."""
    def make(config=settings(SITE_A, SITE_B), **options):
        one = broker(config, start=False, listener=False, anonymous=False, files=old_store.FILES,
                     **options)
        folder = one.dir / "nightjar.store"
        old_store.unpack("format-1", folder)
        store("stats", folder).expect(status=1, err=re.compile(OLD))
        return one, folder
    return make


def test_everything_of_an_older_store_is_there(old):
    one, folder = old()
    one.start()
    one.wait_log(rf"Loaded {old_store.SESSIONS} sessions, {old_store.SUBSCRIPTIONS} "
                 r"subscriptions, 3 retained messages and 3 wills")
    old_store.check(one)
    one.stop()
    store("check", folder).expect()


def test_the_same_of_a_store_of_today(broker):
    """What the test above looks for is what there is to find."""
    one = broker(settings(SITE_A, SITE_B), listener=False, anonymous=False, files=old_store.FILES)
    old_store.fill(one)
    one.kill()
    one.start()
    old_store.check(one)


@pytest.mark.parametrize("point", ["upgrade", "upgraded", "loaded"])
def test_an_upgrade_that_is_killed_is_done_again(old, point):
    if b"NIGHTJAR_CRASH" not in pathlib.Path(Options.binary).read_bytes():
        pytest.skip("built without crash_points")
    one, folder = old(env={"NIGHTJAR_CRASH": f"{point}:1"})
    for _ in range(3):
        one.launch()
        assert one.process.wait(20) == -9
        one.reader.join(5)
    if point == "upgrade":
        store("stats", folder).expect(status=1, err=re.compile(OLD))
    else:
        store("check", folder).expect()
    one.env.clear()
    one.start()
    old_store.check(one)


def test_old_owners_keep_their_listener_when_listeners_change_places(old):
    """Format 1 said where a listener stood, also of sessions that nobody has used since then and of
    retained messages."""
    one, _ = old()
    one.start()
    one.stop()
    one.write_config(settings(SITE_B, SITE_A))
    one.start()
    old_store.check_owners(one)
    one.stop()
    # The alice of b, who published them, may not any more; the alice of a may.
    one.write("aclb", "user alice\ntopic deny r/#\n")
    one.write_config(settings(SITE_B + "acl_file {dir}/aclb\n", SITE_A))
    one.start()
    reader = one.client("reader")
    reader.send(mw.subscribe(1, [("r/#", 1)]), mw.pingreq())
    seen = [p.topic for p in reader.drain(lambda p: p.name == "PINGRESP") if p.name == "PUBLISH"]
    assert seen == ["r/end"]


def test_one_scope_for_all_listeners_is_that_of_all_old_places(old):
    one, _ = old(HEAD + SITE_A.replace("{dir}/a\n", "{dir}/b\n") + "listener {port2} 127.0.0.1\n")
    one.start()
    for client_id in ("dev-a", "dev-b"):
        stored(one, client_id, session_present=True, username="alice", password=b"b")


def test_a_store_of_a_newer_broker_is_refused_and_left_alone(broker):
    one = broker(HEAD)
    stored(one, "a").close()
    one.stop()
    folder = next(one.dir.glob("*.store"))
    change_format(folder, FORMAT, FORMAT + 1)
    before = (folder / "data.mdb").read_bytes()
    status, log = one.run()
    assert status == 1
    assert (f"has format {FORMAT + 1}; this program writes format {FORMAT}. Use the program that "
            "wrote it, or another directory") in log
    assert "Nothing in it was changed" in log
    one.expect_error("has format|Unable to open")
    newer = re.compile(f"has format {FORMAT + 1}; this program writes format {FORMAT}. Use the")
    for command in ("stats", "dump", "check"):
        store(command, folder).expect(status=1, err=newer)
    assert (folder / "data.mdb").read_bytes() == before
    change_format(folder, FORMAT + 1, FORMAT)
    one.start()
    stored(one, "a", session_present=True)


def test_a_damaged_store_of_a_newer_broker_is_not_taken_over(broker):
    """What is sound of it may not mean what it seems to."""
    one = broker(HEAD)
    stored(one, "a").subscribe([("t", 1)])
    one.stop()
    folder = next(one.dir.glob("*.store"))
    change_format(folder, FORMAT, FORMAT + 1)
    data = bytearray((folder / "data.mdb").read_bytes())
    data[4096 + 20] ^= 1  # one of the two states
    (folder / "data.mdb").write_bytes(data)
    status, log = one.run()
    assert status == 1 and f"has format {FORMAT + 1}" in log
    assert (folder / "data.mdb").read_bytes() == data
    assert sorted(p.name for p in folder.iterdir() if p.name != "lock.mdb") == [
        "blobs", "data.mdb", "nightjar.lock"]
