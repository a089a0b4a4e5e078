#!/bin/sh
# Valkey with the password of its file, which is seen in no list of processes. With --healthy:
# whether it answers; with --forget: empty it.
set -eu

password=$(cat /run/secrets/redis-password)
ask() {
    REDISCLI_AUTH=$password valkey-cli -h 127.0.0.1 "$@"
}
case ${1:-} in
--healthy)
    test "$(ask ping)" = PONG
    exit
    ;;
--forget)
    test "$(ask flushall)" = OK
    exit
    ;;
esac
exec valkey-server - <<CONF
include /etc/tessera/valkey.conf
maxmemory ${MAXMEMORY:-512mb}
requirepass "$password"
CONF
