#!/usr/bin/env bash
# Write the world, as it is at this moment, into FILE; it runs on meanwhile. Redis is not in it:
# what is there follows from PostgreSQL, or is of no use later.
set -euo pipefail
file=$(realpath "${1:?give the file to write}")
cd "$(dirname "$0")"
# shellcheck source=compose.sh
source compose.sh

umask 077 # Hashes of keys, and all that was said.
compose exec -T postgres pg_dump --format custom tessera >"$file.part"
mv "$file.part" "$file"
