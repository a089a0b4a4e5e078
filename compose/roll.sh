#!/usr/bin/env bash
# Put another image (APP_IMAGE) in the place of the running one, one container at a time, so that
# nobody misses more than a moment; also to restart everything of ours in turn. What is set in .env
# and the environment is what will run.
#
# The schema comes first: a version whose CHANGELOG says that older shards must be stopped for it
# can't be rolled in.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=compose.sh
source compose.sh

READY_SECONDS_MAX=120

# ID: until its health check says that it can do its work.
wait_ready() {
    local deadline=$((SECONDS + READY_SECONDS_MAX))
    until [[ $(docker inspect --format '{{.State.Health.Status}}' "$1") == healthy ]]; do
        if ((SECONDS > deadline)); then
            echo "roll: $1 is not ready after $READY_SECONDS_MAX s; the rest is as it was" >&2
            exit 1
        fi
        sleep 0.5
    done
}

compose run --rm -T --no-deps migrate

echo "== shards"
# Who is stopped hands its chunks over first; what is missing then is made of the new image.
for id in $(compose ps -q shard); do
    docker stop --time 40 "$id" >/dev/null
    docker rm "$id" >/dev/null
    before=$(compose ps -q shard)
    compose up -d --no-deps --no-recreate shard
    for new in $(comm -13 <(sort <<<"$before") <(compose ps -q shard | sort)); do
        wait_ready "$new"
    done
done

for gateway in gateway-a gateway-b; do
    echo "== $gateway"
    compose up -d --no-deps --force-recreate "$gateway"
    wait_ready "$(compose ps -q "$gateway")"
done
