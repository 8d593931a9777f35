#!/bin/sh
# check_symbols.sh LIBRARY: a pure room calls no allocator, file, socket or TLS function. A second net
# behind check_layers.py, which sees only includes.
set -eu
found=$(nm -u "$1" | awk '{print $2}' | sort -u |
    grep -E '^(malloc|calloc|realloc|free|open|openat|read|write|send|recv|socket|connect|accept|poll|epoll_.*|pthread_.*|SSL_.*|BIO_.*|EVP_.*)$' || true)
[ -z "$found" ] || {
    echo "$1 calls: $found"
    exit 1
}
