"""Dynamic security against those who hold some rights and want more (ledger 2.1, B-290 – B-297)."""
import json

import pytest

import dynsec
from dynsec import API, Dynsec, client

pytestmark = pytest.mark.needs("nightjar")

SLOW = 25  # passwords of a request that takes half a second or more to hash


@pytest.fixture
def one(broker):
    return dynsec.start(broker, clients=[client("second", "admin")])


def creations(count, **more):
    return json.dumps({"commands": [{"command": "createClient", "username": f"c{i}",
                                     "password": "p", **more} for i in range(count)]})


@pytest.mark.parametrize("change", [
    {"command": "disableClient"}, {"command": "setClientPassword", "password": "other"},
    {"command": "setClientId", "clientid": "elsewhere"}, {"command": "deleteClient"}],
    ids=lambda c: c["command"])
def test_B296_who_was_sent_away_gets_nothing_done_any_more(one, change):
    """Its request waits for passwords to be hashed; meanwhile its account is taken from it. The
    answer to that means: from now on it has no rights at all."""
    second, adm = Dynsec(one, "second"), Dynsec(one)
    second.admin.send(API, creations(SLOW))
    second.admin.conn.expect("PUBACK")
    adm.do(change["command"], username="second", **{k: v for k, v in change.items()
                                                    if k != "command"})
    one.wait_log(f"username=c{SLOW - 1}.*: (done|Not authorised)", timeout=120)
    clients = adm.do("listClients")["clients"]
    assert not [name for name in clients if name.startswith("c")]
