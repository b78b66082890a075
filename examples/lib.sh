# What the examples share: `try` and `try_sh` show a command as a person would type it, then run it; `until_true` waits for one.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[1]}")"

# try COMMAND...  print it, run it
try() {
    printf '$ %s\n' "${*@Q}" | sed -E "s/'([][A-Za-z0-9_.,:=\/@%+{}-]+)'/\1/g"
    "$@"
}

# try_sh LINE  the same for a line of shell, such as a pipeline
try_sh() {
    printf '$ %s\n' "$1"
    bash -o pipefail -c "$1"
}

# until_true SECONDS COMMAND...  wait until it succeeds, quietly
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || { printf 'error: never true: %s\n' "$*" >&2; return 1; }
        sleep 1
    done
}

# fail TEXT
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
