#!/usr/bin/env bash
# Put the world of FILE (of dump.sh) in the place of the one that is here, which is gone then.
# Nobody can play meanwhile. Valkey is emptied: it knows of ticks that have not been yet.
set -euo pipefail
file=$(realpath "${1:?give the file to read}")
cd "$(dirname "$0")"
# shellcheck source=compose.sh
source compose.sh

compose stop gateway-a gateway-b shard
compose up -d postgres valkey
until compose exec -T postgres bash /etc/tessera/start.sh --healthy; do sleep 1; done
# Beside the other one first: a dump that can't be read costs nothing.
compose exec -T postgres psql --quiet --set ON_ERROR_STOP=1 \
    --command 'drop database if exists restored' --command 'create database restored owner tessera'
compose exec -T postgres pg_restore --exit-on-error --dbname restored <"$file"
compose exec -T postgres psql --quiet --set ON_ERROR_STOP=1 \
    --command 'drop database tessera with (force)' \
    --command 'alter database restored rename to tessera'
compose exec -T valkey sh /etc/tessera/start.sh --forget
# With the number of shards that is wanted now, and the schema of this version.
compose up -d
