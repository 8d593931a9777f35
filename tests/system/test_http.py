"""The HTTP API (`protocol http_api`), metrics, health and static files."""
import base64
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import time

import pytest

import certs
import passwords

pytestmark = pytest.mark.needs("nightjar")
CURL = shutil.which("curl")
USERS = {"admin": "s3cret:with colon", "nobody": "n", "metrics": "m"}
ACL = ("user admin\ntopic read $SYS/#\nuser metrics\ntopic read $SYS/broker/metrics\n"
       "topic read $SYS/broker/uptime\n")
HTTP = "listener {port_http} 127.0.0.1\nprotocol http_api\n"
GUARDED = "allow_anonymous false\npassword_file {dir}/pw\nacl_file {dir}/acl\n"


@pytest.fixture(scope="module")
def pw():
    return passwords.file_text(USERS)


@pytest.fixture
def guarded(shared_broker, pw):
    return shared_broker(GUARDED + HTTP, files={"pw": pw, "acl": ACL}, anonymous=False,
                         mode="native")


def basic(user, password):
    raw = user.encode() + b":" + (password if isinstance(password, bytes) else password.encode())
    return {"Authorization": "Basic " + base64.b64encode(raw).decode()}


class Answer:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()


def get(one, path, headers=None, method="GET", body=None, conn=None):
    conn = conn or http.client.HTTPConnection("127.0.0.1", one.ports["port_http"], timeout=20)
    conn.request(method, path, body=body, headers=headers or {})
    return Answer(conn.getresponse())


ADMIN = basic("admin", USERS["admin"])


# -- the API -------------------------------------------------------------------------------------

def test_version_is_text(guarded):
    answer = get(guarded, "/api/v1/version", ADMIN)
    assert answer.status == 200 and re.fullmatch(r"\d+\.\d+\.\d+", answer.text)
    assert answer.headers["Access-Control-Allow-Origin"] is None


def test_systree_has_the_sys_values(guarded):
    guarded.client("c", username="admin", password=USERS["admin"].encode()).quiet()
    values = json.loads(get(guarded, "/api/v1/systree", ADMIN).text)
    assert len(values) >= 25
    assert all(k.startswith("$SYS/broker/") and isinstance(v, int) for k, v in values.items())
    assert values["$SYS/broker/clients/connected"] == 1
    assert values["$SYS/broker/clients/maximum"] >= 1
    assert values["$SYS/broker/messages/received"] >= 2


def test_systree_shows_what_the_user_may_read(guarded):
    values = json.loads(get(guarded, "/api/v1/systree", basic("metrics", "m")).text)
    assert list(values) == ["$SYS/broker/uptime"]
    assert get(guarded, "/api/v1/systree", basic("nobody", "n")).status == 403


def test_listeners_are_told(guarded):
    answer = get(guarded, "/api/v1/listeners", ADMIN)
    assert answer.headers["Content-Type"] == "application/json"
    listeners = json.loads(answer.text)["listeners"]
    assert [(row["port"], row["protocol"], row["tls"], row["bind-address"]) for row in listeners
            ] == [(guarded.ports["port"], "mqtt", False, "127.0.0.1"),
                  (guarded.ports["port_http"], "httpapi", False, "127.0.0.1")]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"])
def test_B304_other_methods_are_not_allowed(guarded, method):
    answer = get(guarded, "/api/v1/version", ADMIN, method=method,
                 body=b"x" * 10 if method in ("POST", "PUT", "PATCH") else None)
    assert answer.status == 405 and answer.headers["Allow"] == "GET"


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/api/v1/", "/api/v1/version/",
                                  "/api/v1/Version", "/api/v2/version", "/api/v1/version%00",
                                  "/../etc/passwd", "/metrics/x", "/health/x", "//api/v1/version"])
def test_unknown_paths_are_not_found(guarded, path):
    assert get(guarded, path, ADMIN).status == 404


# -- who is it -----------------------------------------------------------------------------------

@pytest.mark.parametrize("headers", [
    {}, basic("admin", "wrong"), basic("unknown", "x"), basic("", ""), basic("admin", ""),
    basic("", USERS["admin"]), basic("Admin", USERS["admin"]),
    {"Authorization": "Bearer abc"}, {"Authorization": "Basic"}, {"Authorization": "Basic "},
    {"Authorization": "Basic !!!!"}, {"Authorization": "Basic YWRtaW4"},
    {"Authorization": "Basic " + base64.b64encode(b"admin").decode()},
    {"Authorization": "Basic " + base64.b64encode(b"admin\0:x").decode()},
    {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()},
    {"Authorization": "Basic " + base64.b64encode(b"a:" + b"x" * 9000).decode()},
], ids=range(16))
def test_B305_bad_logins_are_refused(guarded, headers):
    for path in ("/metrics", "/nothing"):
        answer = get(guarded, path, headers)
        assert answer.status == 401 and answer.body == b"Not authorised\n", path
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_B305_two_authorization_headers_are_none(guarded):
    conn = http.client.HTTPConnection("127.0.0.1", guarded.ports["port_http"], timeout=20)
    conn.putrequest("GET", "/api/v1/version")
    for _ in range(2):
        conn.putheader("Authorization", ADMIN["Authorization"])
    conn.endheaders()
    assert conn.getresponse().status == 401


def test_L068_passwords_are_not_logged(guarded):
    get(guarded, "/api/v1/version", basic("admin", "canary-7193"))
    get(guarded, "/api/v1/version", ADMIN)
    assert "canary-7193" not in guarded.log_text() and "s3cret" not in guarded.log_text()


def test_anonymous_users_get_in_where_they_may(broker):
    one = broker("acl_file {dir}/acl\n" + HTTP, files={"acl": "topic read $SYS/broker/version\n"},
                 mode="native")
    assert get(one, "/api/v1/version").status == 200
    assert get(one, "/health").status == 200
    assert get(one, "/metrics").status == 403
    assert get(one, "/api/v1/listeners").status == 403


def test_sys_is_nobodys_by_default(broker):
    one = broker("acl_default allow\n" + HTTP, mode="native")
    assert get(one, "/metrics").status == 403
    assert get(one, "/health/ready").status == 200


def test_L082_a_password_that_is_changed_counts_at_once(broker, pw):
    one = broker(GUARDED + HTTP, files={"pw": pw, "acl": ACL}, anonymous=False, mode="native")
    conn = http.client.HTTPConnection("127.0.0.1", one.ports["port_http"], timeout=20)
    assert get(one, "/metrics", ADMIN, conn=conn).status == 200
    one.write("pw", passwords.file_text({**USERS, "admin": "new"}))
    one.reload()
    assert get(one, "/metrics", ADMIN, conn=conn).status == 401
    assert get(one, "/metrics", basic("admin", "new"), conn=conn).status == 200
    one.write("acl", "user admin\ntopic read other/#\n")
    one.reload()
    assert get(one, "/metrics", basic("admin", "new"), conn=conn).status == 403


def test_L056_refusals_take_as_long_whoever_asks(guarded):
    def measure(headers):
        began = time.monotonic()
        assert get(guarded, "/metrics", headers).status == 401
        return time.monotonic() - began
    for headers in ({}, basic("unknown", "x"), basic("admin", "wrong")):
        assert max(measure(headers) for _ in range(2)) > 0.02  # never at once: on a tick of 200 ms


# -- compat mode ---------------------------------------------------------------------------------

def test_compat_mode_asks_for_the_right_to_the_path(broker, pw):
    one = broker(GUARDED + HTTP, anonymous=False, mode="compat", files={
        "pw": pw, "acl": "user admin\ntopic read /api/v1/version\n"})
    answer = get(one, "/api/v1/version", ADMIN)
    assert answer.status == 200 and answer.text.startswith("2.1.2")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    answer = get(one, "/api/v1/systree", ADMIN)
    assert answer.status == 401 and answer.body == b"Not authorised\n"


def test_compat_mode_without_an_acl_shows_everything(broker):
    one = broker(HTTP, mode="compat")
    assert len(json.loads(get(one, "/api/v1/systree").text)) >= 25
    assert get(one, "/api/v1/listeners").status == 200
    assert get(one, "/api/v1/nothing").status == 404


# -- metrics and health --------------------------------------------------------------------------

def parse_metrics(text):
    """A strict reader of what we need of OpenMetrics; returns {series: value} and the families."""
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""]
    families, series, current = {}, {}, None
    for line in lines[:-2]:
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in families, f"{name} twice"
            families[name], current = kind, name
        elif line.startswith("# HELP "):
            assert line.split(" ")[2] == current
        else:
            match = re.fullmatch(r'([a-z_]+)(\{[a-z_]+="[^"\n]*"(?:,[a-z_]+="[^"\n]*")*\})? (\d+)',
                                 line)
            assert match, line
            suffix = {"counter": "_total", "info": "_info", "gauge": ""}[families[current]]
            assert match[1] == current + suffix, (line, current)
            assert match[1] + (match[2] or "") not in series, line
            series[match[1] + (match[2] or "")] = int(match[3])
    return series, families


def test_metrics_are_openmetrics_and_count(guarded):
    answer = get(guarded, "/metrics", basic("metrics", "m"))
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    before, families = parse_metrics(answer.text)
    assert len(families) > 25
    conn = guarded.client("m", username="admin", password=USERS["admin"].encode())
    conn.publish("not/allowed", b"x", qos=1, reason=0x87)
    after, _ = parse_metrics(get(guarded, "/metrics", ADMIN).text)
    def grown(name):
        return after[name] - before[name]
    assert grown('nightjar_denied_total{action="publish"}') == 1
    assert grown("nightjar_clients_connected") == 1
    assert grown('nightjar_publications_total{direction="received"}') == 1
    assert grown('nightjar_http_requests_total{code="200"}') >= 1
    assert after[f'nightjar_listener_connections{{listener="1",port="{guarded.ports["port"]}",'
                 'protocol="mqtt"}'] >= 1
    assert sum(v for k, v in after.items() if k.startswith("nightjar_worker_connections")) >= 1


def test_F055_the_number_of_series_does_not_depend_on_clients(guarded):
    before, _ = parse_metrics(get(guarded, "/metrics", ADMIN).text)
    clients = [guarded.client(f"card-{n}", username="admin", password=USERS["admin"].encode())
               for n in range(20)]
    for n, conn in enumerate(clients):
        conn.publish(f"no/{n}", b"x", qos=1, reason=0x87)
    after, _ = parse_metrics(get(guarded, "/metrics", ADMIN).text)
    assert set(before) == set(after)


def test_health_says_live_and_ready(guarded):
    for path, word in (("/health", "ready"), ("/health/ready", "ready"), ("/health/live", "live")):
        answer = get(guarded, path, basic("nobody", "n"))
        assert (answer.status, answer.text) == (200, word + "\n")


# -- files ---------------------------------------------------------------------------------------

def test_files_are_served_from_their_directory_and_nowhere_else(broker, pw):
    one = broker(GUARDED + HTTP + "http_dir {dir}/www\n", anonymous=False, mode="native", files={
        "pw": pw, "acl": ACL, "www/index.html": "<p>hello", "www/sub/index.html": "sub",
        "www/app.js": "1", "www/a b.txt": "blank", "secret": "no", "www-other/x": "no"})
    (one.dir / "www/out").symlink_to(one.dir / "secret")
    (one.dir / "www/in").symlink_to("app.js")
    (one.dir / "www/dir").symlink_to(one.dir)
    answer = get(one, "/", ADMIN)
    assert (answer.status, answer.text) == (200, "<p>hello")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert get(one, "/app.js", ADMIN).headers["Content-Type"].startswith("text/javascript")
    assert get(one, "/sub/", ADMIN).text == "sub"
    assert get(one, "/in", ADMIN).text == "1"
    assert get(one, "/a%20b.txt", ADMIN).text == "blank"
    assert get(one, "/api/v1/version", ADMIN).status == 200
    for path in ("/../secret", "/sub/../../secret", "/..%2fsecret", "/%2e%2e/secret", "/out",
                 "/dir/secret", "/sub", "/nothing", "/app.js%00.html", "/../www-other/x",
                 "/" + "a/" * 2000):
        assert get(one, path, ADMIN).status in (404, 414, 431), path
    assert get(one, "/app.js").status == 401


# -- bad input, slow peers -----------------------------------------------------------------------

def raw(one, data, timeout=20):
    sock = socket.create_connection(("127.0.0.1", one.ports["port_http"]), timeout=timeout)
    sock.sendall(data)
    out = b""
    try:
        while part := sock.recv(65536):
            out += part
    except OSError:
        pass
    sock.close()
    return out


@pytest.mark.parametrize("data", [
    b"nonsense\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
    b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n",
    b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
], ids=range(12))
def test_B206_bad_requests_end_with_an_error_or_the_connection(guarded, data):
    sock = socket.create_connection(("127.0.0.1", guarded.ports["port_http"]), timeout=20)
    try:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        out = b""
        while part := sock.recv(65536):
            out += part
    except OSError:
        out = b""
    sock.close()
    assert not out.startswith(b"HTTP/1.1 200") and not out.startswith(b"HTTP/1.0 200")
    assert get(guarded, "/health", ADMIN).status == 200


def test_F042_slow_requests_are_cut_off_as_a_whole(guarded):
    """Ten seconds for a head, however steadily its bytes trickle; MQTT does not notice."""
    slow = [socket.create_connection(("127.0.0.1", guarded.ports["port_http"]), timeout=20)
            for _ in range(8)]
    began, open_ones = time.monotonic(), set(range(8))
    for n, sock in enumerate(slow):
        sock.settimeout(0.05)
        if n < 4:
            sock.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
    while open_ones and time.monotonic() - began < 20:
        for n in list(open_ones):
            try:
                if n < 4:
                    slow[n].send(b"a")
                if slow[n].recv(100) == b"":
                    open_ones.remove(n)
            except TimeoutError:
                continue
            except OSError:
                open_ones.discard(n)
    assert not open_ones and 8 < time.monotonic() - began < 18
    for sock in slow:
        sock.close()
    assert get(guarded, "/health", ADMIN).status == 200


def test_many_connections_are_bounded_and_mqtt_goes_on(broker):
    one = broker("acl_default allow\n" + HTTP + "max_connections 20\n", mode="native")
    socks = [socket.create_connection(("127.0.0.1", one.ports["port_http"]), timeout=20)
             for _ in range(120)]
    conn = one.client("mqtt")
    for _ in range(20):
        conn.publish("t", b"x", qos=1)
    assert one.fds() < 100
    for sock in socks:
        sock.close()
    deadline = time.monotonic() + 15
    while True:  # the closed ones make room, one by one
        try:
            assert get(one, "/health").status == 200
            break
        except OSError:
            assert time.monotonic() < deadline
    conn.quiet()


def test_a_storm_of_wrong_passwords_leaves_mqtt_alone(guarded):
    conn = guarded.client("calm", username="admin", password=USERS["admin"].encode())
    socks = []
    request = (b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: "
               + basic("admin", "wrong")["Authorization"].encode() + b"\r\n\r\n")
    for _ in range(60):
        sock = socket.create_connection(("127.0.0.1", guarded.ports["port_http"]), timeout=20)
        sock.sendall(request)
        socks.append(sock)
    conn.quiet()
    for sock in socks:
        assert sock.recv(4096).split(b" ")[1] in (b"401", b"503")
        sock.close()
    assert get(guarded, "/metrics", ADMIN).status == 200


def test_the_broker_ends_while_logins_are_under_way(broker, pw):
    one = broker(GUARDED + HTTP, files={"pw": pw, "acl": ACL}, anonymous=False, mode="native")
    request = (b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: "
               + basic("admin", "wrong")["Authorization"].encode() + b"\r\n\r\n")
    socks = []
    for _ in range(20):
        sock = socket.create_connection(("127.0.0.1", one.ports["port_http"]), timeout=20)
        sock.sendall(request)
        socks.append(sock)
    one.stop()
    for sock in socks:
        sock.close()


# -- listeners -----------------------------------------------------------------------------------

def test_tls(broker):
    ca = certs.authority()
    server = ca.issue("localhost", purpose="server", names=["localhost", "127.0.0.1"])
    one = broker("acl_default allow\n" + HTTP + "certfile {dir}/s.crt\nkeyfile {dir}/s.key\n",
                 mode="native", files={"s.crt": server.chain_pem, "s.key": certs.pem(server.key)})
    conn = http.client.HTTPSConnection("localhost", one.ports["port_http"], timeout=20,
                                       context=certs.client_context(ca))
    assert get(one, "/health", conn=conn).status == 200
    assert conn.sock.version() == "TLSv1.3"
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(OSError):
        get(one, "/health", conn=http.client.HTTPSConnection(
            "localhost", one.ports["port_http"], timeout=20, context=old))


def test_a_broken_certificate_ends_the_start(broker):
    one = broker("acl_default allow\n" + HTTP + "certfile {dir}/s.crt\nkeyfile {dir}/s.key\n",
                 mode="native", files={"s.crt": "no", "s.key": "no"}, start=False)
    one.expect_error("Error")
    status, log = one.run()
    assert status != 0 and "HTTP cannot be served" in log, log


def test_without_a_listener_line_it_is_on_loopback_only(broker):
    one = broker("port {port_http}\nbind_address 127.0.0.1\nprotocol http_api\n", listener=False,
                 start=False, mode="compat")
    one.launch()
    one.wait_log("running")
    assert get(one, "/api/v1/version").status == 200


@pytest.mark.parametrize("line", ["require_certificate true\ncertfile a\nkeyfile b\ncafile c",
                                  "enable_proxy_protocol 1\nproxy_trusted ::1", "ciphers x"])
def test_what_http_listeners_cannot_do_is_refused(broker, line):
    one = broker(HTTP + line + "\n", start=False, mode="native")
    one.expect_error("Error")
    status, log = one.run()
    assert status == 3 and "cannot be used with `protocol http_api`" in log, log


@pytest.mark.skipif(not CURL, reason="curl is not installed")
def test_curl_and_a_unix_socket(broker, pw):
    one = broker(GUARDED + "listener 0 {dir}/http.sock\nprotocol http_api\n", anonymous=False,
                 mode="native", files={"pw": pw, "acl": ACL})
    done = subprocess.run([CURL, "-sS", "--fail", "--unix-socket", str(one.dir / "http.sock"), "-u",
                           f"admin:{USERS['admin']}", "http://localhost/metrics"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and done.stdout.endswith("# EOF\n"), done
    done = subprocess.run([CURL, "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket",
                           str(one.dir / "http.sock"), "http://localhost/metrics"],
                          capture_output=True, text=True, timeout=20)
    assert done.stdout == "401"
