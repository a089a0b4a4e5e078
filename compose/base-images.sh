#!/usr/bin/env bash
# Make the images that compose.yaml and the Dockerfile start from out of Debian's own packages, for
# where images can't be pulled. Needs root, debootstrap and a Docker engine; takes some minutes once.
# Their names are in debian.env; what is there already is not made again (--anew: it is).
#
# Each has the users, folders and programs that compose.yaml asks of the public images, and no more.
set -euo pipefail
cd "$(dirname "$0")"

SUITE=trixie # The first with Valkey and pgvector.
DEBIAN=tessera-debian/debian:$SUITE
# shellcheck source=debian.env
source debian.env

anew=no
[[ ${1:-} != --anew ]] || anew=yes

is_there() {
    [[ $anew == no ]] && docker image inspect "$1" >/dev/null 2>&1
}

# debian: the smallest Debian that apt works in.
make_debian() {
    local root
    root=$(mktemp -d)
    # shellcheck disable=SC2064 # The folder of now.
    trap "rm -rf --one-file-system '$root'" EXIT
    debootstrap --variant=minbase "$SUITE" "$root"
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*.log
    tar --directory "$root" --create --numeric-owner --exclude=./dev/\* . | docker import - "$DEBIAN"
}

# NAME and what is to be run in it, as root. The host's network: builds reach what the host reaches.
make_from_debian() {
    is_there "$1" && return
    echo "== $1"
    # What is on stdin is the whole Dockerfile, and there are no other files.
    docker build --network host --tag "$1" - <<DOCKERFILE
FROM $DEBIAN
ENV LANG=C.UTF-8
RUN export DEBIAN_FRONTEND=noninteractive \
 && mkdir -p /etc/postgresql-common/createcluster.d \
 && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/none.conf \
 && apt-get update --quiet \
 && apt-get install --yes --quiet --no-install-recommends $2 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
 && $3
DOCKERFILE
}

if ! is_there "$DEBIAN"; then
    echo "== $DEBIAN"
    make_debian
fi
make_from_debian "$BASE_IMAGE" "python3 python3-venv" "true"
make_from_debian "$POSTGRES_IMAGE" "postgresql-17 postgresql-17-pgvector" \
    "install -d -o postgres -g postgres /var/lib/postgresql"
make_from_debian "$VALKEY_IMAGE" "valkey-server valkey-tools" "install -d -o valkey -g valkey /data"
make_from_debian "$HAPROXY_IMAGE" "haproxy" "true"
make_from_debian "$PROMETHEUS_IMAGE" "prometheus" "install -d -o nobody -g nogroup /prometheus"
