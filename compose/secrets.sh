#!/usr/bin/env bash
# Make up the passwords that are not there yet, as files that compose.yaml mounts; none is replaced.
# Run it again after an update: a newer version may need another one.
# The folder is closed to everybody else on this machine. The files themselves are not, because
# each is read by the user of some container.
set -euo pipefail
cd "$(dirname "$0")"
folder=${SECRETS:-secrets}
mkdir -p -m 700 "$folder"
cd "$folder"
umask 022

# NAME, and what is to be in it.
keep() {
    # An engine that is told to mount a file that is not there makes an empty folder of that name.
    if [[ -d $1 ]]; then rmdir "$1"; fi
    if [[ ! -s $1 ]]; then
        printf '%s\n' "$2" >"$1"
        echo "made $folder/$1"
    fi
}

password() {
    head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'
}

keep postgres-password "$(password)"
keep redis-password "$(password)"
keep grafana-password "$(password)"
keep hashing-key "$(password)"
# A secret of compose must be there, and a setting's file must not be empty: the same key twice
# accepts what the one accepts.
keep hashing-key-previous "$(<hashing-key)"
keep database-url "postgresql://tessera:$(<postgres-password)@postgres:5432/tessera"
keep redis-url "redis://:$(<redis-password)@valkey:6379/0"
