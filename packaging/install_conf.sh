#!/bin/sh
# install_conf.sh SOURCE DIR: installs the example configuration, but never over somebody's own.
set -eu
to=${DESTDIR:-}$2
mkdir -p "$to"
if [ -e "$to/nightjar.conf" ]; then
    echo "Keeping $to/nightjar.conf"
else
    install -m 0640 "$1" "$to/nightjar.conf"
fi
