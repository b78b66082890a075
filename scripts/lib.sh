# What the scripts share: `stage` and `bootstrap`. Sourced from the top of the checkout.
#
# bootstrap        uv (from PyPI, in a cache of ours if there is none) and the locked Python packages in .venv
# bootstrap test   the same with what the tests need, Debian packages and the programs of a cluster included

CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/hostler"
UV=uv
export UV_PYTHON_DOWNLOADS=never UV_FROZEN=1

stage() { printf '\n== %s\n' "$*"; }

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need_packages PROGRAM:PACKAGE...  installs the packages of the programs (or files) that are not there
need_packages() {
    local entry missing=()
    for entry in "$@"; do
        case "${entry%%:*}" in
        /*) [ -e "${entry%%:*}" ] || missing+=("${entry#*:}") ;;
        *) command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}") ;;
        esac
    done
    [ ${#missing[@]} -eq 0 ] && return
    command -v apt-get >/dev/null || die "this needs what Debian has in the packages ${missing[*]}: install it first"
    [ "$(id -u)" = 0 ] || die "this needs packages: run  sudo apt-get install ${missing[*]}"
    echo "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

need_python() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || die "Python 3.11 or newer is needed"
}

# a uv that the user has, or one of our own from PyPI
need_uv() {
    if command -v uv >/dev/null; then return; fi
    if [ ! -x "$CACHE/uv/bin/uv" ]; then
        python3 -c 'import ensurepip' 2>/dev/null || need_packages /nowhere:python3-venv
        echo "installing uv"
        python3 -m venv "$CACHE/uv"
        "$CACHE/uv/bin/pip" install --quiet --disable-pip-version-check uv
    fi
    PATH="$PATH:$CACHE/uv/bin"
}

need_cluster_packages() {
    need_packages ip:iproute2 nft:nftables nsenter:util-linux losetup:mount gcc:gcc /usr/include/stdio.h:libc6-dev \
        pkg-config:pkg-config /usr/include/seccomp.h:libseccomp-dev buildah:buildah mmdebstrap:mmdebstrap \
        /usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring
    [ -e /opt/cni/bin/bridge ] || need_packages /usr/lib/cni/bridge:containernetworking-plugins
}

need_test_packages() {
    local header
    header=$(python3 -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')
    need_packages /usr/include/libvirt/libvirt.h:libvirt-dev "$header:python3-dev" libvirtd:libvirt-daemon \
        virsh:libvirt-clients qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils xorriso:xorriso \
        busybox:busybox-static redis-server:redis-server fence_ipmilan:fence-agents ipmitool:ipmitool
}

bootstrap() {
    need_python
    need_uv
    if [ "${1:-}" = test ]; then
        [ "$(id -u)" = 0 ] || die "these tests make clusters and network namespaces: run them as root"
        need_cluster_packages
        need_test_packages
        sync --all-groups
        HOSTLER_PROGRAMS=${HOSTLER_PROGRAMS:-$($UV run python -m cluster.programs)}
        export HOSTLER_PROGRAMS
    else
        sync "${@:---all-groups}"
    fi
}

# the locked packages; `uv run` afterwards takes them as they are
sync() {
    unset UV_NO_SYNC
    $UV sync --quiet --all-extras "$@" || die "the Python packages could not be installed"
    export UV_NO_SYNC=1
}
