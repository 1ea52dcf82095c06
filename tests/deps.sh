#!/bin/sh
# Installs what building and testing need from Debian's packages, as far as it is missing.
#
#   tests/deps.sh [build] [test] [bench]      default: build and test
#
# Nothing is fetched and nobody is asked while all is there. Without the right to install, the missing packages are
# named and the exit status is 1. None of the packages starts a service, now or when the machine starts.
set -eu

# Debian keeps these out of an ordinary user's search path.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

missing=
cargo=there

program() { # NAME PACKAGE...
    command -v "$1" >/dev/null 2>&1 || need "$@"
}

library() { # 'NAME >= VERSION' PACKAGE...
    pkg-config --exists "$1" 2>/dev/null || need "$@"
}

need() {
    shift
    for package in "$@"; do
        case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
    done
}

build_needs() {
    program cc gcc libc6-dev
    program pkg-config pkg-config
    library 'libmnl >= 1.0.4' libmnl-dev
    library 'libnftnl >= 1.2.4' libnftnl-dev
    command -v cargo >/dev/null 2>&1 || cargo=missing
}

test_needs() {
    program unshare util-linux
    program mount mount
    program timeout coreutils
    program ip iproute2
    program nft nftables
    program conntrack conntrack
    program ping iputils-ping
    # Servers that the probes are tried on.
    program nginx nginx
    program openssl openssl
    program dnsmasq dnsmasq-base
    program xrdp xrdp
    # Another director to share addresses with.
    program keepalived keepalived
    # A machine has one mail server, and keeps the one that it has.
    command -v sendmail >/dev/null 2>&1 || program postfix postfix
}

bench_needs() {
    # To compare with.
    program haproxy haproxy
    program keepalived keepalived
}

install() {
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        as_root=sudo
    else
        as_root=none
    fi
    if [ "$as_root" = none ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "missing packages:$missing" >&2
        echo "  hint: as root: apt-get install$missing" >&2
        exit 1
    fi
    echo "installing:$missing"
    $as_root apt-get update -q
    # shellcheck disable=SC2086 # one word a package
    $as_root sh -euc "$install_quietly" deps.sh $missing </dev/null
}

# Packages of servers start what they bring, unless policy-rc.d forbids it (the exit status 101), and have it started
# with the machine, unless that is taken back. What forbade it before is put back.
# shellcheck disable=SC2016 # expanded when it runs
install_quietly='
policy=/usr/sbin/policy-rc.d
kept=$policy.before-deps
mine="#!/bin/sh
# For as long as tests/deps.sh of director installs packages.
exit 101"

restore() {
    rm -f "$policy"
    [ ! -e "$kept" ] || mv "$kept" "$policy"
}

enabled() {
    systemctl list-unit-files --no-legend --no-pager --state=enabled 2>/dev/null | cut -d " " -f 1
}

# One that was killed may have left its own behind.
if [ -e "$policy" ] && [ "$(cat "$policy")" != "$mine" ]; then mv "$policy" "$kept"; fi
trap restore EXIT
trap "exit 1" HUP INT TERM
printf "%s\n" "$mine" >"$policy"
chmod 755 "$policy"

before=" $(enabled | tr "\n" " ")"
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
for unit in $(enabled); do
    case $before in *" $unit "*) ;; *) systemctl disable "$unit" ;; esac
done
'

[ $# -gt 0 ] || set -- build test
for part in "$@"; do
    case $part in
        build) build_needs ;;
        test) test_needs ;;
        bench) bench_needs ;;
        *) echo "usage: tests/deps.sh [build] [test] [bench]" >&2 && exit 2 ;;
    esac
done
[ -z "$missing" ] || install
if [ $cargo = missing ]; then
    echo "cargo is missing: install Rust as https://rustup.rs says; Cargo.toml has the least version" >&2
    exit 1
fi
