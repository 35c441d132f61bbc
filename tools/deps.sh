#!/bin/sh

# Copyright (C) the ngx_http_bitrix1c_module authors
#
# usage: deps.sh package ...
#
# Installs those of the packages that are missing.  Takes no time when all are
# there, asks for the command to run when not root, and leaves a system without
# dpkg to its owner.

set -eu

if ! command -v dpkg-query > /dev/null; then
    echo "not a Debian system, so these are not checked: $*" >&2
    exit 0
fi

missing=
for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2> /dev/null \
             || true)

    case "$status" in
        installed*) ;;
        *) missing="$missing $package" ;;
    esac
done

if [ -z "$missing" ]; then
    exit 0
fi

if [ "$(id -u)" != 0 ]; then
    echo "packages are missing, please run as root:" >&2
    echo "    apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "installing$missing"

export DEBIAN_FRONTEND=noninteractive

apt-get update -q

# word splitting is wanted here
# shellcheck disable=SC2086
apt-get install -q -y --no-install-recommends $missing
