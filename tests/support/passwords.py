"""Password file lines, made without any of the project's own tools: $6$ (one salted SHA-512) and
$7$ (PBKDF2-SHA512), as Mosquitto writes them."""
import base64
import hashlib
import os


def sha512(password, salt=None):
    """$6$salt$hash: SHA-512 of password and salt."""
    salt = os.urandom(12) if salt is None else salt
    digest = hashlib.sha512(_bytes(password) + salt).digest()
    return f"$6${_b64(salt)}${_b64(digest)}"


def pbkdf2(password, iterations=101, salt=None, salt_size=12):
    """$7$iterations$salt$hash; salts have 12 bytes (Mosquitto 2.0) or 64 (2.1)."""
    salt = os.urandom(salt_size) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", _bytes(password), salt, iterations)
    return f"$7${iterations}${_b64(salt)}${_b64(digest)}"


def file_text(users):
    """`users`: {name: password}. A cheap hash, because most tests only want to get in."""
    return "".join(f"{name}:{sha512(password)}\n" for name, password in users.items())


def _bytes(text):
    return text.encode() if isinstance(text, str) else text


def _b64(data):
    return base64.b64encode(data).decode()
