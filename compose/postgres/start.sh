#!/usr/bin/env bash
# PostgreSQL for Tessera, in any image that has it: a cluster, a role and a database at the first
# start, and the role's password from its file at every start, so that a new one needs a restart and
# no more. With --healthy: whether it takes connections.
#
# It does without the entry point of the public image, which wants to write outside of its volume.
set -euo pipefail

export PGDATA=/var/lib/postgresql/tessera
PATH=$(printf '%s:' /usr/lib/postgresql/*/bin)$PATH

if [[ ${1:-} == --healthy ]]; then
    # By TCP: while the cluster is being made nobody listens there.
    exec pg_isready --quiet --host 127.0.0.1
fi

if [[ ! -e $PGDATA/PG_VERSION ]]; then
    # Elsewhere first: a start that was cut off leaves nothing that looks like a cluster.
    rm -rf "$PGDATA.new"
    initdb --pgdata "$PGDATA.new" --username postgres --encoding UTF8 --locale C.UTF-8 \
        --data-checksums --auth-local peer --auth-host scram-sha-256 >/dev/null
    # Those of the network "back".
    echo "host all all samenet scram-sha-256" >>"$PGDATA.new/pg_hba.conf"
    postgres --single -D "$PGDATA.new" postgres >/dev/null <<'SQL'
create role tessera login;
create database tessera owner tessera;
SQL
    mv "$PGDATA.new" "$PGDATA"
fi

password=$(</run/secrets/postgres-password)
# The single user's shell ends a statement at the end of a line.
postgres --single -D "$PGDATA" postgres >/dev/null <<SQL
alter role tessera password '${password//\'/\'\'}';
SQL

exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp -c max_connections=200
