#!/bin/sh
# Runs a command with its secrets in the environment. What the environment does not set already is read from the folder
# KB_SECRETS, and made there at first start: nobody has to think of a password, and none is in a file of the project.
# Usage: with_secrets.sh COMMAND [ARGUMENTS]
set -eu

folder=${KB_SECRETS:-/run/kb-secrets}

# secret NAME: prints the secret of that name, making it when it is not there yet. A hard link appears whole or not at
# all, so that two containers that start together agree on one.
secret() {
    if [ ! -s "$folder/$1" ]; then
        umask 077
        fresh=$folder/.$1.$$
        od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$fresh"
        ln "$fresh" "$folder/$1" 2>/dev/null || true
        rm -f "$fresh"
    fi
    cat "$folder/$1"
}

: "${KB_TOKEN:=$(secret token)}"
: "${PGPASSWORD:=$(secret database_password)}"
export KB_TOKEN PGPASSWORD
exec "$@"
