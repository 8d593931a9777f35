"""A broker with dynamic security, its file made without the project's own tools."""
import json
import os
import time

import passwords
from control import Admin
from mqttwire import V5

API = "dynamic-security/v1"
HASH = passwords.sha512("pw")
CONFIG = "allow_anonymous false\ndynamic_security {dir}/ds.json\n"
TYPES = ["publishClientSend", "publishClientReceive", "subscribeLiteral", "subscribePattern",
         "unsubscribeLiteral", "unsubscribePattern"]


def acl(kind, topic, allow=True, priority=0):
    return {"acltype": kind, "topic": topic, "priority": priority, "allow": allow}


def role(name, *acls, **more):
    return {"rolename": name, "acls": list(acls), **more}


def client(name, *roles, **more):
    return {"username": name, "encoded_password": HASH,
            "roles": [{"rolename": r} for r in roles], **more}


ADMIN = role("admin", *(acl(t, "$CONTROL/#") for t in TYPES[:2]),
             acl("subscribePattern", "$CONTROL/#"))
ROOT = role("root", *(acl(t, "#") for t in TYPES))
SETTLE = role("settle", *(acl(t, "settle/#") for t in (TYPES[1], TYPES[3], TYPES[5])))


def text(clients=(), groups=(), roles=(), **more):
    """The file: an administrator, a client that may everything, and what is asked for. Every client
    may receive `settle/…` (scenes.py)."""
    for one in clients:
        one["roles"].append({"rolename": "settle"})
    return json.dumps({
        "defaultACLAccess": {"publishClientSend": False, "publishClientReceive": True,
                             "subscribe": False, "unsubscribe": True},
        "changeIndex": 0,
        "clients": [client("admin", "admin"), client("root", "root"), *clients],
        "groups": list(groups), "roles": [ADMIN, ROOT, SETTLE, *roles], **more})


def start(factory, mode="native", extra="", config=CONFIG, files=None, **content):
    """`factory`: the fixture `broker` or `shared_broker`."""
    return factory(config + extra, mode=mode, files={"ds.json": text(**content), **(files or {})})


def login(one, name, client_id=None, version=V5, password="pw", **options):
    return one.client(client_id or f"{name}-{os.urandom(4).hex()}", version, username=name,
                      password=password, **options)


class Dynsec:
    """Commands of an administrator."""

    def __init__(self, one, name="admin", version=V5, private=True, password="pw"):
        self.admin = Admin(login(one, name, version=version, password=password), private)

    def batch(self, *commands, **envelope):
        return self.admin.batch(API, list(commands), **envelope)

    def do(self, command, **fields):
        """Has to succeed; its data."""
        return self.admin.data(API, command, **fields)

    def bad(self, command, **fields):
        """Has to fail; the error's text."""
        return self.admin.error(API, command, **fields)


def wait_file(one, wanted, timeout=15):
    """The file as JSON, when `wanted` says yes to it."""
    end = time.monotonic() + timeout
    while True:
        try:
            content = json.loads((one.dir / "ds.json").read_text())
            if wanted(content):
                return content
        except (ValueError, FileNotFoundError):
            content = None
        assert time.monotonic() < end, content
        time.sleep(0.02)
