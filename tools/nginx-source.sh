#!/bin/sh

# Copyright (C) the ngx_http_bitrix1c_module authors
#
# usage: nginx-source.sh directory
#
# Puts nginx's sources of the version that nginx-dev is for, with Debian's
# patches, into directory/nginx-VERSION and prints that name.  A sources list of
# its own is used, because deb-src is rarely configured, and the release alone,
# because older files vanish from the security archive.

set -eu

dir=${1:?usage: nginx-source.sh directory}

version=$(dpkg-query -W -f '${source:Upstream-Version}' nginx-dev)
tree=$dir/nginx-$version

if [ -d "$tree" ]; then
    echo "$tree"
    exit 0
fi

. /etc/os-release

apt=$dir/apt
mkdir -p "$apt/parts" "$apt/lists/partial" "$apt/archives/partial"

mirror=$(sed -n -e 's/^URIs: *\([^ ]*\/debian\)\/* *$/\1/p' \
                -e 's/^deb .*\(http[^ ]*\/debian\)\/* .*/\1/p' \
             /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null \
         | head -n 1)

if [ -z "$mirror" ]; then
    echo "no mirror of Debian is named in /etc/apt/sources.list*" >&2
    exit 1
fi

cat > "$apt/parts/nginx.sources" << END
Types: deb-src
URIs: $mirror
Suites: $VERSION_CODENAME
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END

# apt would drop root's rights for the download and could not write here

(
    cd "$apt"

    set -- -q -o Dir::Etc::sourcelist=/dev/null \
        -o Dir::Etc::sourceparts="$PWD/parts" \
        -o Dir::State::lists="$PWD/lists" -o Dir::Cache="$PWD" \
        -o APT::Sandbox::User=

    apt-get "$@" update \
        && apt-get "$@" source nginx
) > "$apt/log" 2>&1 || { cat "$apt/log" >&2; exit 1; }

mv "$apt/nginx-$version" "$tree"
rm -rf "$apt"
echo "$tree"
