#!/bin/sh
# Valkey with the password of its file, which is seen in no list of processes. With --healthy:
# whether it answers.
set -eu

password=$(cat /run/secrets/redis-password)
if [ "${1:-}" = --healthy ]; then
    test "$(REDISCLI_AUTH=$password valkey-cli -h 127.0.0.1 ping)" = PONG
    exit
fi
exec valkey-server - <<CONF
include /etc/tessera/valkey.conf
maxmemory ${MAXMEMORY:-512mb}
requirepass "$password"
CONF
