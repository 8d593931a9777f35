"""Who gets in: passwords, anonymous clients, password files (ledger 2.2, 2.3, catalogue 3.8)."""
import os
import time

import pytest

import mqttwire as mw
import passwords
from mqttwire import V31, V311, V5

GUARD = "allow_anonymous false\npassword_file {dir}/pw\nacl_file {dir}/acl\n"
ALL = "pattern readwrite #\nuser a\ntopic readwrite #\n"


def try_login(one, version, **options):
    """The CONNACK reason of a login; None when the connection is just closed."""
    conn = one.conn(version)
    conn.send(mw.connect("try", version, **options))
    try:
        return conn.expect("CONNACK").reason
    except mw.Closed:
        return None
    finally:
        conn.close()


def try_logins(one, version, logins):
    """The CONNACK reasons of many (user, password) at once: refusals leave on a slow tick."""
    conns = []
    for number, (user, password) in enumerate(logins):
        conn = one.conn(version)
        conn.send(mw.connect(f"try{number}", version, username=user, password=password))
        conns.append(conn)
    out = []
    for conn in conns:
        try:
            out.append(conn.expect("CONNACK").reason)
        except mw.Closed:
            out.append(None)
        conn.close()
    return out


def refusals(version):
    """What a refused login may look like: not authorised, or a bad user name or password."""
    return (0x86, 0x87) if version == V5 else (4, 5)


PASSWORDS = {"plain": "secret", "unicode": "pässwörd€", "spaces": " two words ", "binary": b"\x00\xff",
             "long": "x" * 300, "colon": "a:b:c"}


@pytest.fixture(scope="module")
def hashes():
    lines = []
    for name, password in PASSWORDS.items():
        lines.append(f"{name}-6:{passwords.sha512(password)}")
        lines.append(f"{name}-7:{passwords.pbkdf2(password, 101, salt_size=12)}")
        lines.append(f"{name}-7l:{passwords.pbkdf2(password, 1000, salt_size=64)}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("kind", ["6", "7", "7l"])
def test_every_hash_of_mosquitto_is_understood(shared_broker, version, hashes, kind):
    one = shared_broker(GUARD, files={"pw": hashes, "acl": ALL})
    right = [(f"{name}-{kind}", password) for name, password in PASSWORDS.items()]
    # (not a NUL at the end: HMAC, and so PBKDF2, cannot tell it from none)
    wrong = [(user, password + (b"z" if isinstance(password, bytes) else "z"))
             for user, password in right]
    assert try_logins(one, version, right) == [0] * len(right)
    assert set(try_logins(one, version, wrong)) <= set(refusals(version))


@pytest.mark.needs("nightjar")
def test_argon2id_is_understood(shared_broker, version):
    argon2 = pytest.importorskip("argon2", reason="python3-argon2 is not installed")
    line = "u:" + argon2.PasswordHasher(time_cost=1, memory_cost=1024, hash_len=32).hash("secret")
    one = shared_broker(GUARD, files={"pw": line + "\n", "acl": ALL})
    assert try_login(one, version, username="u", password="secret") == 0
    assert try_login(one, version, username="u", password="Secret") in refusals(version)


def test_L050_a_user_name_without_a_password(shared_broker, version, hashes):
    one = shared_broker(GUARD, files={"pw": hashes, "acl": ALL})
    assert try_login(one, version, username="plain-6") in refusals(version)


@pytest.mark.parametrize("anonymous", [False, True])
def test_L051_empty_and_absent_are_different(shared_broker, version, hashes, anonymous):
    """user/password empty, absent, right and wrong, with anonymous clients on and off."""
    one = shared_broker(GUARD.replace("false", str(anonymous).lower()),
                        files={"pw": hashes, "acl": ALL})
    nobody = try_login(one, version)
    assert nobody == 0 if anonymous else nobody in refusals(version)
    bad = [("", None), ("", ""), ("", "secret"), ("plain-6", ""), ("plain-6", None),
           ("unknown", "secret"), ("unknown", ""), ("plain-6", "wrong"), ("PLAIN-6", "secret"),
           ("plain-6 ", "secret")]
    assert 0 not in try_logins(one, version, bad)
    assert try_login(one, version, username="plain-6", password="secret") == 0


def test_L052_a_wrong_password_is_never_anonymous(shared_broker, version, hashes):
    one = shared_broker(GUARD.replace("false", "true"), files={"pw": hashes, "acl": ALL})
    assert try_login(one, version, username="plain-6", password="wrong") in refusals(version)
    assert try_login(one, version, username="nobody", password="secret") in refusals(version)
    if version == V5:
        assert try_login(one, version, password="secret") in (0, 0x86, 0x87)


@pytest.mark.needs("nightjar")
@pytest.mark.threads
def test_L056_refusals_look_the_same(shared_broker, version, hashes):
    """Unknown user, wrong password, no password: the same bytes (and no reason string)."""
    one = shared_broker(GUARD, files={"pw": hashes, "acl": ALL})
    seen = set()
    for user, password in (("plain-6", "wrong"), ("plain-7", "wrong"), ("unknown", "wrong"),
                           ("plain-6", ""), ("plain-6", None)):
        conn = one.conn(version)
        conn.send(mw.connect("same", version, username=user, password=password))
        seen.add(conn.expect("CONNACK").raw)
        conn.expect_closed(silent=True)
    assert len(seen) == 1, seen


@pytest.mark.needs("nightjar")
def test_L056_L057_the_time_of_a_refusal_tells_nothing(broker):
    """Unknown users take as long as wrong passwords with a costly hash."""
    line = f"slow:{passwords.pbkdf2('x', 60000)}\n"
    one = broker(GUARD, files={"pw": line, "acl": ALL})
    took = {"slow": [], "unknown": []}
    for _ in range(6):
        for user, times in took.items():
            began = time.monotonic()
            assert try_login(one, V5, username=user, password="wrong") in refusals(V5)
            times.append(time.monotonic() - began)
    # The shortest of several: what a busy machine adds by chance is not what an attacker reads.
    gap = abs(min(took["slow"]) - min(took["unknown"]))
    assert gap < 0.19, took


def test_L060_passwords_are_bytes_to_the_end(shared_broker, version):
    stored = {"nul": b"p\0x", "long": b"y" * 72 + b"a"}
    one = shared_broker(GUARD, files={"pw": passwords.file_text(stored), "acl": ALL})
    assert try_logins(one, version, list(stored.items())) == [0, 0]
    wrong = [("nul", b"p\0y"), ("nul", b"p"), ("nul", b"p\0"), ("long", b"y" * 72 + b"b"),
             ("long", b"y" * 72)]
    assert set(try_logins(one, version, wrong)) <= set(refusals(version))


def test_L042_user_names_are_bytes(shared_broker, version):
    names = {"Admin": "1", "u\u00fc": "2", "uu\u0308": "3"}
    one = shared_broker(GUARD, files={"pw": passwords.file_text(names), "acl": ALL})
    assert try_logins(one, version, list(names.items())) == [0, 0, 0]
    wrong = [("admin", "1"), ("ADMIN", "1"), ("uu\u0308", "2"), ("u\u00fc", "3")]
    assert set(try_logins(one, version, wrong)) <= set(refusals(version))


def test_A27_one_user_with_many_client_ids(shared_broker, hashes):
    one = shared_broker(GUARD, files={"pw": hashes, "acl": ALL})
    conns = [one.client(f"many{n}", username="plain-6", password="secret") for n in range(10)]
    for conn in conns:
        conn.quiet()


def test_nobody_gets_in_without_a_password_file(shared_broker, version):
    """allow_anonymous false and nothing that could check anybody: everybody is refused."""
    one = shared_broker("allow_anonymous false\n")
    assert try_login(one, version) in refusals(version)
    assert try_login(one, version, username="u", password="p") in refusals(version)


@pytest.mark.needs("nightjar")
def test_a_user_name_that_nothing_can_verify(shared_broker, mode, version):
    """Native: counts as anonymous. Compat: accepted as given. (With %u the ACL shows which.)"""
    one = shared_broker("allow_anonymous true\nacl_file {dir}/acl\n", mode=mode,
                        files={"acl": "user u\ntopic readwrite named\n"})
    conn = one.client("x", version, username="u", password="p")
    watch = one.client("w", version, username="u", password="p")
    watch.send(mw.subscribe(1, "named", version))
    answer = watch.expect("SUBACK")
    if mode == "compat":
        assert answer.reasons == [0]
        conn.publish("named", b"m")
        watch.receive("named", b"m")
    else:
        assert answer.reasons == [{V31: 0, V311: 0x80, V5: 0x87}[version]]  # 3.1 cannot say no
    conn.publish("named", b"m", 1, reason=0x87 if mode == "native" else (0, 0x10))


@pytest.mark.needs("nightjar")
def test_L086_L093_no_configuration_at_all(broker, mode):
    """Loopback only; anonymous clients are refused in native mode."""
    one = broker(start=False, has_config=False, args=["-p", "{port}"], mode=mode)
    one.dir.chmod(0o777)  # the store is kept where it is started, by the account it changes to
    one.start()
    answer = try_login(one, V5)
    assert answer == 0 if mode == "compat" else answer in refusals(V5)
    assert try_login(one, V5, username="admin", password="admin") != 0 or mode == "compat"
    with open("/proc/net/tcp", encoding="ascii") as file:
        listening = [line.split()[1] for line in file if line.split()[3] == "0A"]
    port = f":{one.ports['port']:04X}"
    assert [a for a in listening if a.endswith(port)] == ["0100007F" + port]


@pytest.mark.needs("nightjar")
def test_L084_scopes_of_anonymous_passwords_and_acls(broker):
    """per_listener_settings: what is written under a listener belongs to it alone."""
    one = broker("per_listener_settings true\n"
                 "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {dir}/pw1\n"
                 "acl_file {dir}/acl1\n"
                 "listener {port2} 127.0.0.1\nallow_anonymous true\nacl_file {dir}/acl2\n"
                 "listener {port3} 127.0.0.1\npassword_file {dir}/pw3\nacl_file {dir}/acl1\n",
                 listener=False, anonymous=False,
                 files={"pw1": passwords.file_text({"one": "1"}),
                        "pw3": passwords.file_text({"three": "3"}),
                        "acl1": "user one\ntopic readwrite a\nuser three\ntopic readwrite c\n",
                        "acl2": "topic readwrite b\n"})

    def login(port, **options):
        conn = one.conn(port=port)
        conn.send(mw.connect(f"x{port}{options}", **options))
        return conn.expect("CONNACK").reason, conn

    one_ = {"username": "one", "password": "1"}
    three = {"username": "three", "password": "3"}
    assert login("port")[0] in refusals(V5)
    assert login("port", **three)[0] in refusals(V5)
    assert login("port3", **one_)[0] in refusals(V5)
    assert login("port3")[0] in refusals(V5)
    for port, options, mine in (("port", one_, "a"), ("port2", {}, "b"), ("port3", three, "c")):
        reason, conn = login(port, **options)
        assert reason == 0
        for topic in "abc":
            conn.publish(topic, b"m", 1, reason=(0, 0x10) if topic == mine else 0x87)


@pytest.mark.needs("nightjar")
def test_listener_allow_anonymous(broker):
    one = broker("listener {port} 127.0.0.1\nlistener_allow_anonymous false\n"
                 "listener {port2} 127.0.0.1\nlistener_allow_anonymous true\n"
                 "listener {port3} 127.0.0.1\n", listener=False, anonymous=False)
    reasons = []
    for port in ("port", "port2", "port3"):
        conn = one.conn(port=port)
        conn.send(mw.connect("x"))
        reasons.append(conn.expect("CONNACK").reason)
    assert reasons[1] == 0 and reasons[0] != 0 and reasons[2] != 0


GOOD = passwords.sha512("p")
BAD_FILES = {
    "L053_no_hash": "u:\n",
    "L053_empty_name": f":{GOOD}\n",
    "L053_unknown_type": "u:$x$abc\n",
    "B270_type_5": "u:$5$c2FsdA==$aGFzaA==\n",
    "B270_cleartext": "u:secret\n",
    "B270_bad_base64": "u:$6$!!!!$????\n",
    "B270_no_salt": "u:$6$$aGFzaA==\n",
    "B270_short_hash": "u:$6$c2FsdHNhbHRzYWx0$aGFzaA==\n",
    "B270_iterations_0": "u:" + passwords.pbkdf2("p").replace("$7$101$", "$7$0$") + "\n",
    "B270_iterations_negative": "u:" + passwords.pbkdf2("p").replace("$7$101$", "$7$-1$") + "\n",
    "B270_iterations_word": "u:" + passwords.pbkdf2("p").replace("$7$101$", "$7$x$") + "\n",
    "L059_iterations_2_31": "u:" + passwords.pbkdf2("p").replace("$7$101$", "$7$2147483648$")
                            + "\n",
    "L059_argon2_4_GiB": "u:$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$" + "A" * 43 + "\n",
    "B270_argon2_broken": "u:$argon2id$v=19$m=,t=1$x$y\n",
    "B270_user_twice": f"u:{GOOD}\nu:{GOOD}\n",
    "L053_nul": f"u\0v:{GOOD}\n",
    "B271_truncated": f"a:{GOOD}\nb:{GOOD[:40]}",
}


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("text", list(BAD_FILES.values()), ids=list(BAD_FILES))
def test_L053_B270_a_bad_password_file_is_refused_as_a_whole(broker, text):
    one = broker(GUARD, files={"pw": f"good:{GOOD}\n" + text, "acl": ALL}, start=False)
    one.expect_error("Error")
    status, log = one.run()
    assert status == 3, log
    assert "Unable to decode line in password file" in log or "pw" in log, log
    assert "2" in log, "the line number helps"


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("text", list(BAD_FILES.values()), ids=list(BAD_FILES))
def test_L082_a_bad_password_file_on_reload_changes_nothing(shared_broker, text, uid):
    one = shared_broker(GUARD + "# reload\n", mode="native",
                        files={"pw": f"good:{GOOD}\n", "acl": ALL})
    assert try_login(one, V5, username="good", password="p") == 0
    with one.client(uid, username="good", password="p") as conn:
        one.write("pw", f"good:{GOOD}\n" + text)
        one.reload(fails=True)
        conn.quiet()
        good, *bad = try_logins(one, V5, [("good", "p"), ("u", ""), (None, None)])
        assert good == 0 and 0 not in bad
    one.write("pw", f"good:{GOOD}\n")
    one.reload()


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("text", [
    f"\n\ngood:{GOOD}\n\n", f"good:{GOOD}\r\nb:{GOOD}\r\n", f"good:{GOOD}"],
    ids=["blank lines", "CRLF", "no newline"])
def test_B260_forms_of_a_password_file_that_are_fine(broker, text):
    one = broker(GUARD, files={"pw": text, "acl": ALL})
    assert try_login(one, V5, username="good", password="p") == 0
    assert try_login(one, V5, username="", password="p") != 0


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("what", ["missing", "directory", "fifo", "device"])
def test_L064_B260_a_password_file_that_is_none(broker, what):
    one = broker(GUARD, files={"acl": ALL}, start=False)
    path = one.dir / "pw"
    if what == "directory":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    one.expect_error("Error")
    began = time.monotonic()
    status, log = one.run()
    assert status != 0 and "pw" in log and time.monotonic() - began < 3, log


@pytest.mark.needs("nightjar")
def test_an_empty_password_file_lets_nobody_in(broker, version):
    one = broker(GUARD, files={"pw": "", "acl": ALL})
    assert try_login(one, version) in refusals(version)
    assert try_login(one, version, username="u", password="p") in refusals(version)


@pytest.mark.needs("nightjar")
def test_credential_files_behind_symbolic_links(broker, mode):
    """Native: as Kubernetes mounts them. Compat: the original does not follow links."""
    one = broker(GUARD, mode=mode, files={"..data/pw": f"good:{GOOD}\n", "acl": ALL}, start=False)
    (one.dir / "pw").symlink_to(one.dir / "..data" / "pw")
    if mode == "native":
        one.start()
        assert try_login(one, V5, username="good", password="p") == 0
    else:
        one.expect_error("Error")
        status, log = one.run()
        assert status in (1, 3), log


@pytest.mark.needs("nightjar")
@pytest.mark.slow
def test_B270_a_large_password_file(broker):
    """100,000 users: loaded in seconds, first and last get in."""
    lines = [f"u{n}:{GOOD}" for n in range(100000)]
    began = time.monotonic()
    one = broker(GUARD, files={"pw": "\n".join(lines) + "\n", "acl": ALL})
    assert time.monotonic() - began < 10
    for number in (0, 99999):
        assert try_login(one, V5, username=f"u{number}", password="p") == 0
    assert try_login(one, V5, username="u100000", password="p") != 0


@pytest.mark.needs("nightjar")
def test_L081_unreadable_files_on_reload(broker):
    """Files that are gone: everything stays as it was."""
    one = broker(GUARD, mode="native", files={"pw": f"good:{GOOD}\n", "acl": ALL})
    for name in ("pw", "acl"):
        (one.dir / name).rename(one.dir / (name + ".away"))
        one.reload(fails=True)
        assert try_login(one, V5, username="good", password="p") == 0
        assert try_login(one, V5) != 0
        (one.dir / (name + ".away")).rename(one.dir / name)
    one.reload()


@pytest.mark.needs("nightjar")
@pytest.mark.threads
def test_changed_passwords_take_effect_at_once(broker, mode):
    one = broker(GUARD, mode=mode, files={"pw": passwords.file_text({"a": "old", "b": "b"}),
                                          "acl": ALL})
    before = (one.dir / "pw").read_text()
    b_line = before.splitlines()[1]
    changed = one.client("changed", username="a", password="old")
    same = one.client("same", username="b", password="b")
    one.write("pw", passwords.file_text({"a": "new"}) + b_line + "\n")
    one.reload()
    changed.expect_closed()
    assert try_login(one, V5, username="a", password="old") in refusals(V5)
    assert try_login(one, V5, username="a", password="new") == 0
    same.quiet()


@pytest.mark.needs("nightjar")
@pytest.mark.threads
def test_a_removed_user_is_gone_at_once(broker, mode, version):
    lines = {n: f"{n}:{passwords.sha512(n)}\n" for n in "ab"}
    one = broker(GUARD, mode=mode, files={"pw": "".join(lines.values()), "acl": ALL})
    gone = one.client("gone", version, username="a", password="a")
    stays = one.client("stays", version, username="b", password="b")
    one.write("pw", lines["b"])
    one.reload()
    gone.expect_closed()
    stays.quiet()
    assert try_login(one, version, username="a", password="a") in refusals(version)
    one.write("pw", "".join(lines.values()))
    one.reload()
    assert try_login(one, version, username="a", password="a") == 0


@pytest.mark.needs("nightjar")
def test_anonymous_clients_go_when_they_are_no_longer_allowed(broker):
    one = broker("allow_anonymous true\npassword_file {dir}/pw\nacl_file {dir}/acl\n",
                 files={"pw": f"good:{GOOD}\n", "acl": ALL + "topic readwrite #\n"})
    conn, known = one.client("anon"), one.client("known", username="good", password="p")
    one.write_config(one.config.replace("allow_anonymous true", "allow_anonymous false"))
    one.reload()
    conn.expect_closed()
    known.quiet()
    assert try_login(one, V5) in refusals(V5)


@pytest.mark.needs("nightjar")
@pytest.mark.threads
def test_L066_F047_wrong_logins_do_not_lock_out_the_right_one(broker):
    one = broker(GUARD, files={"pw": f"good:{GOOD}\n", "acl": ALL})
    conns = []
    for number in range(200):
        conn = one.conn()
        conn.send(mw.connect(f"w{number}", username="good", password="wrong"))
        conns.append(conn)
    assert try_login(one, V5, username="good", password="p") == 0
    for conn in conns:
        assert conn.expect("CONNACK").reason in refusals(V5)


def owner_broker(factory, mode, extra=""):
    return factory("allow_anonymous true\npassword_file {dir}/pw\nacl_file {dir}/acl\n" + extra,
                   mode=mode, files={"pw": passwords.file_text({"a": "a", "b": "b"}),
                                     "acl": "topic readwrite #\npattern readwrite #\n"})


@pytest.mark.needs("nightjar")
@pytest.mark.threads
def test_L014_a_refused_login_leaves_the_session_of_others_alone(broker, mode, version):
    one = owner_broker(broker, mode)
    keep = {"session_expiry_interval": 100} if version == V5 else None
    a = one.conn(version)
    a.connect("dev", clean=False, username="a", password="a", properties=keep)
    a.subscribe("t", qos=1)
    conn = one.conn(version)
    conn.send(mw.connect("dev", version, clean=True, username="a", password="wrong"))
    assert conn.expect("CONNACK").reason in refusals(version)
    a.quiet()
    a.close()
    again = one.conn(version)
    again.connect("dev", clean=False, username="a", password="a", properties=keep,
                  session_present=version != V31)


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("live", [False, True])
@pytest.mark.threads
def test_L015_L016_the_session_of_another_user(broker, mode, version, clean, live):
    """Native: refused. Compat: taken over, as the original does."""
    one = owner_broker(broker, mode)
    keep = {"session_expiry_interval": 100} if version == V5 else None
    a = one.conn(version)
    a.connect("dev", clean=False, username="a", password="a", properties=keep)
    if not live:
        a.close()
    for login in ({"username": "b", "password": "b"}, {}):
        conn = one.conn(version)
        conn.send(mw.connect("dev", version, clean=clean, **login))
        answer = conn.expect("CONNACK")
        if mode == "native":
            assert answer.reason in ((0x85, 0x87) if version == V5 else (2, 5)), answer
        else:
            assert answer.reason == 0
            conn.close()
            break
    if mode == "native":
        if live:
            a.quiet()
            a.close()
        back = one.conn(version)
        back.connect("dev", clean=False, username="a", password="a", properties=keep,
                     session_present=version != V31)


@pytest.mark.needs("nightjar")
def test_L015_sessions_of_anonymous_owners_never_block(broker):
    """A named user with an anonymous client's id gets a fresh session."""
    one = owner_broker(broker, "native")
    anon = one.conn()
    anon.connect("dev", clean=False, properties={"session_expiry_interval": 100})
    anon.subscribe("secret", qos=1)
    anon.close()
    named = one.conn()
    named.connect("dev", clean=False, username="a", password="a", session_present=False)


@pytest.mark.needs("nightjar")
def test_sessions_of_deleted_owners_never_block(broker):
    one = owner_broker(broker, "native")
    keep = {"session_expiry_interval": 100}
    a = one.conn()
    a.connect("dev", clean=False, username="a", password="a", properties=keep)
    a.close()
    one.write("pw", (one.dir / "pw").read_text().splitlines()[1] + "\n")
    one.reload()
    b = one.conn()
    b.connect("dev", clean=False, username="b", password="b", session_present=False)


@pytest.mark.needs("nightjar")
def test_session_owner_can_be_switched_off(broker):
    one = owner_broker(broker, "native", "session_owner none\n")
    a = one.client("dev", username="a", password="a")
    one.client("dev", username="b", password="b")
    a.expect_closed(reason=0x8E)


@pytest.mark.needs("nightjar")
def test_use_username_as_clientid(broker, version):
    one = broker(GUARD + "use_username_as_clientid true\n",
                 files={"pw": passwords.file_text({"a": "a"}), "acl": ALL})
    mark = one.mark()
    first = one.client("whatever", version, username="a", password="a")
    one.wait_log(r"New client connected from .* as a \(", mark)
    one.client("other", version, username="a", password="a")
    first.expect_closed(reason=0x8E)
    assert try_login(one, version) != 0


@pytest.mark.needs("nightjar")
def test_use_username_as_clientid_when_the_client_gave_none(broker):
    """MQTT5 3.2.2-16: it is told its id. MQTT3 3.1.3-8: with a stored session it has to have one."""
    long = "u" * 600
    one = broker(GUARD + "use_username_as_clientid true\n",
                 files={"pw": passwords.file_text({"a": "a", long: "a"}), "acl": ALL})
    conn = one.conn(V5)
    connack = conn.connect("", username="a", password="a")
    assert connack.prop("assigned_client_identifier") == "a"
    assert one.conn(V5).connect("given", username="a", password="a").prop(
        "assigned_client_identifier") is None
    one.conn(V5).connect("", username=long, password="a", reason=0x85)
    one.conn(V5).connect("given", username=long, password="a")
    one.conn(V311).connect("", username="a", password="a")
    one.conn(V311).connect("", username="a", password="a", clean=False, reason=2)
    one.conn(V31).connect("", username="a", password="a", reason=2)


@pytest.mark.needs("nightjar", "native")
def test_L071_a_client_cannot_choose_what_it_belongs_to(broker):
    """Names that it sends beside its user name are only text."""
    one = broker("allow_anonymous false\npassword_file {dir}/pw\nacl_file {dir}/acl\n", files={
        "pw": passwords.file_text({"a": "a", "root": "root"}),
        "acl": "user root\ntopic #\nuser a\ntopic mine\n"})
    claims = [(key, value) for key in ("user", "username", "role", "group", "tenant", "listener",
                                       "mount_point", "is_admin") for value in ("root", "true")]
    conn = one.conn(V5)
    conn.connect("root", username="a", password="a", properties=[
        ("user_property", claim) for claim in claims])
    conn.publish("mine", b"", 1)
    conn.publish("theirs", b"", 1, reason=0x87)
    conn.publish("theirs", b"", 1, reason=0x87, properties=[
        ("user_property", claim) for claim in claims])
    conn.subscribe("theirs", reasons=[0x87])


@pytest.mark.needs("nightjar", "native")
def test_L092_L094_no_trust_in_addresses_and_no_known_password(broker):
    """A client of the same machine is a client like others, and nothing is let in that nobody set."""
    one = broker("allow_anonymous false\n")
    for user, password in (("admin", "public"), ("admin", "admin"), ("admin", "password"),
                           ("cedalo", "secret"), ("guest", "guest"), ("root", "root"), ("", ""),
                           ("admin", ""), ("mosquitto", "mosquitto"), ("nightjar", "nightjar")):
        assert try_login(one, V5, username=user, password=password) in refusals(V5)
    assert try_login(one, V5) in refusals(V5)


@pytest.mark.needs("nightjar", "native")
def test_L069_L068_no_secret_in_the_status_tree(broker):
    canary = "canary7261"
    one = broker("allow_anonymous false\nsys_interval 1\npassword_file {dir}/pw\n"
                 "acl_file {dir}/acl\n", files={
                     "pw": passwords.file_text({"a": canary, "root": "root"}),
                     "acl": "user root\ntopic read $SYS/#\ntopic read #\nuser a\ntopic #\n"})
    watcher = one.client("w", username="root", password="root")
    one.client("c", username="a", password=canary).publish("t", b"", 1)
    assert try_login(one, V5, username="a", password=canary + "x") in refusals(V5)
    watcher.subscribe("$SYS/#")
    seen = watcher.drain(lambda p: p.name == "PUBLISH" and p.topic.endswith("uptime")
                         and not p.retain)
    assert len(seen) > 20
    for one_packet in seen:
        assert canary.encode() not in one_packet.raw and b"$6$" not in one_packet.raw
