#!/bin/sh
# link_bin.sh STAMP NIGHTJAR NJ: every program under every name that it answers to, in bin/ beside the
# stamp. Called by meson, so that plain ninja makes it, too.
set -eu
stamp=$1 nightjar=$2 nj=$3
top=$(cd "$(dirname "$stamp")" && pwd)
mkdir -p "$top/bin"
cd "$top/bin"
# Relative, so that the build folder can be moved.
ln -sfn "..${nightjar#"$top"}" nightjar
ln -sfn nightjar mosquitto
ln -sfn "..${nj#"$top"}" nj
for name in pub sub rr ctrl passwd signal db_dump; do
    ln -sfn nj "mosquitto_$name"
done
: >"$top/${stamp##*/}"
