#!/bin/sh
# Prints the first Python on PATH that is 3.11 or newer; else the plain python3, so that check_machine.sh can say what is wrong with it.
for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
    if command -v "$name" >/dev/null 2>&1 &&
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "$name"
        exit 0
    fi
done
echo python3
