"""Clients that others wrote: the npm mqtt package, over TCP, TLS, WebSocket and WSS. Needs
`npm ci` in tests/system/js; without node it is skipped."""
import pathlib
import shutil
import subprocess

import pytest

from scenes import endpoint_of

JS = pathlib.Path(__file__).resolve().parent / "js"
NODE, NPM = shutil.which("node"), shutil.which("npm")
pytestmark = pytest.mark.skipif(not NODE or not NPM, reason="node and npm are not installed")


@pytest.fixture(scope="module")
def package():
    if not (JS / "node_modules" / "mqtt").exists():
        done = subprocess.run([NPM, "ci", "--ignore-scripts"], cwd=JS, capture_output=True,
                              text=True, timeout=100)
        if done.returncode:
            pytest.skip(f"npm ci failed: {done.stderr[-200:]}")
    return JS


@pytest.mark.parametrize("kind", ["tcp", "tls", "ws", "wss"])
@pytest.mark.parametrize("version", ["4", "5"], ids=["v311", "v5"])
def test_a_round_through_the_npm_client(plain, package, uid, kind, version):
    endpoint = endpoint_of(plain, kind)
    scheme = {"tcp": "mqtt", "tls": "mqtts"}.get(kind, kind)
    done = subprocess.run([NODE, "roundtrip.mjs", f"{scheme}://127.0.0.1:{endpoint.port}/mqtt",
                           version, uid], cwd=package, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.strip() == "ok", done.stdout + done.stderr
