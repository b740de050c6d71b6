#!/bin/sh
# Prints the first Python of at least 3.11 on the PATH; says what to install when there is none.
# `python3` comes first because it is what the machine's owner chose.
for name in python3 python3.13 python3.12 python3.11 python; do
    path=$(command -v "$name" 2>/dev/null) || continue
    if "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        echo "$path"
        exit 0
    fi
done
echo "Tokenway needs Python 3.11 or newer and found none: install one (on Debian or Ubuntu: apt-get install python3 python3-venv) and run this again, or name it: make PYTHON=/path/to/python3 ..." >&2
exit 1
