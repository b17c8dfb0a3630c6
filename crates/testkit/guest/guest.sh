#!/bin/sh
# A virtual machine with what this one may lack: cgroup v2 alone, systemd, AppArmor enforced, every capability.
# usage: guest.sh image            make (or find) kernel, initrd and root filesystem; prints their folder
#        guest.sh run FOLDER [N]   boot, with FOLDER as /payload and FOLDER/inside.sh run as root, for at most N seconds (540):
#                                  its output goes to standard output, its exit code is this script's
# Images are kept in ${PLIMSOLL_CACHE:-~/.cache/plimsoll}/guest/, keyed by kernel and recipe. The machine is emulated (no KVM needed).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${PLIMSOLL_CACHE:-${HOME:-/root}/.cache/plimsoll}/guest
# systemd with both buses and user sessions; AppArmor's parser; id maps for rootless; what tests and peers call or link with.
packages=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,apparmor,kmod,uidmap,iproute2,iptables,procps,libseccomp2,libcap2
# crc32c_generic: ext4's checksums. The rest is loaded by systemd or on demand from the root filesystem.
early="virtio_pci virtio_blk crc32c_generic ext4"

say() { echo "guest: $*" >&2; }
die() { say "$*"; exit 1; }

# The guest runs programs that were linked here: same release where this is Debian.
suite() {
    # shellcheck disable=SC1091
    [ "$(. /etc/os-release && echo "$ID")" = debian ] && (. /etc/os-release && echo "$VERSION_CODENAME") || echo bookworm
}

kernel_package() {
    apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -1
}

image() {
    mkdir -p "$cache"
    exec 9>"$cache/.lock"
    flock 9
    # The part of this script that makes images, and what it puts into them.
    recipe=$({ sed -n '/^packages=/,/^run()/p' "$here/guest.sh"; cat "$here/init" "$here/guest-test.service"; } | sha256sum | cut -c1-12)
    # Offline: what was made before.
    found=$(ls -d "$cache"/image-*-"$recipe" 2>/dev/null | head -1)
    if [ -z "$found" ]; then
        kernel=$(kernel_package)
        [ -n "$kernel" ] || { apt-get update -qq >"$cache/apt.log" 2>&1 || true; kernel=$(kernel_package); }
        [ -n "$kernel" ] || die "MISSING: Debian's linux-image-cloud-amd64. How to get it: make Debian's packages reachable by apt"
        found=$cache/image-$(suite)-${kernel#linux-image-}-$recipe
        make_image "$kernel" "$found"
    fi
    echo "$found"
}

make_image() {
    say "making the guest's image (once; two minutes): Debian $(suite) with systemd, kernel $1"
    rm -rf "$cache"/.work.* "$cache"/image-*
    work=$(mktemp -d "$cache/.work.XXXXXX")
    chmod 755 "$work"
    (cd "$work" && apt-get download -qq "$1" && dpkg-deb -x "$1"_*.deb kernel) >"$cache/apt.log" 2>&1 || die "cannot download $1: $cache/apt.log"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -v -i security | head -1)
    debootstrap --variant=minbase --include="$packages" "$(suite)" "$work/root" ${mirror:+"$mirror"} >"$cache/debootstrap.log" 2>&1 ||
        die "debootstrap failed: $cache/debootstrap.log"
    fill_root "$work/root" "$work/kernel"
    make_initrd "$work/root" "$work/initrd.d" "$work/initrd"
    rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/usr/share/doc "$work"/root/usr/share/locale
    mkfs.ext4 -q -d "$work/root" "$work/root.ext4" 2G >/dev/null
    mkdir "$work/image"
    cp "$work"/kernel/boot/vmlinuz-* "$work/image/vmlinuz"
    mv "$work/initrd" "$work/root.ext4" "$work/image/"
    mv "$work/image" "$2"
    rm -rf "$work"
}

# fill_root ROOT KERNEL: modules, the service that runs the tests, an ordinary user with subordinate ids and a lasting session.
fill_root() {
    cp -a "$2/lib/modules" "$1/usr/lib/"
    chroot "$1" depmod "$(ls "$2/lib/modules")"
    cp "$here/guest-test.service" "$1/etc/systemd/system/"
    chroot "$1" systemctl --quiet enable guest-test.service
    chroot "$1" systemctl --quiet mask getty@tty1.service serial-getty@ttyS0.service systemd-timesyncd.service apt-daily.timer \
        apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service dpkg-db-backup.timer
    chroot "$1" useradd -m -u 1000 -s /bin/bash user
    mkdir -p "$1/var/lib/systemd/linger" "$1/payload"
    touch "$1/var/lib/systemd/linger/user"
    echo guest >"$1/etc/hostname"
    echo "/dev/vda / ext4 defaults 0 0" >"$1/etc/fstab"
}

# make_initrd ROOT FOLDER FILE: busybox and the modules that the root filesystem is reached by.
make_initrd() {
    version=$(ls "$1/usr/lib/modules")
    mkdir -p "$2/bin" "$2/modules" "$2/proc" "$2/sys" "$2/dev" "$2/root"
    cp -L "$(busybox)" "$2/bin/busybox"
    cp "$here/init" "$2/init"
    chmod 755 "$2/init"
    for module in $early; do
        # A module that is built in has no file.
        chroot "$1" modprobe -S "$version" --show-depends "$module" 2>/dev/null || true
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$2/modules/order"
    while read -r file; do cp "$1/$file" "$2/modules/"; done <"$2/modules/order"
    sed -i 's|.*/||' "$2/modules/order"
    (cd "$2" && find . | cpio --quiet -o -H newc | gzip -1) >"$3"
}

busybox() { ls "${PLIMSOLL_CACHE:-${HOME:-/root}/.cache/plimsoll}/peers/bin/busybox" 2>/dev/null || command -v busybox; }

run() {
    folder=$1; seconds=${2:-540}
    image=$(image)
    work=$(mktemp -d "${TMPDIR:-/tmp}/plimsoll-guest.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' INT TERM
    size=$(du -sm "$folder" | cut -f1)
    mkfs.ext4 -q -O ^has_journal -d "$folder" "$work/payload.ext4" "$((size + size / 8 + 32))M" >/dev/null
    : >"$work/output"
    timeout "$seconds" qemu-system-x86_64 -accel tcg,thread=multi -M q35 -cpu max -smp 2 -m 2048 -nodefaults -no-user-config -display none -no-reboot \
        -serial "file:$work/console" -serial "file:$work/output" -kernel "$image/vmlinuz" -initrd "$image/initrd" \
        -drive "file=$image/root.ext4,format=raw,if=virtio,snapshot=on,cache=unsafe" \
        -drive "file=$work/payload.ext4,format=raw,if=virtio,cache=unsafe" -device virtio-rng-pci \
        -append "console=ttyS0 quiet panic=-1 apparmor=1 security=apparmor systemd.unified_cgroup_hierarchy=1" &
    machine=$!
    tail -n +1 -f --pid=$machine "$work/output" &
    shown=$!
    status=0
    # The verdict is all that is waited for, not the way down.
    while kill -0 $machine 2>/dev/null && ! grep -q '^GUEST EXIT' "$work/output"; do sleep 1; done
    sleep 1
    kill $machine 2>/dev/null || true
    wait $machine || status=$?
    wait $shown || true
    code=$(sed -n 's/^GUEST EXIT \([0-9]*\)\r*$/\1/p' "$work/output" | tail -1)
    if [ -z "$code" ]; then
        tail -30 "$work/console" >&2
        [ "$status" = 124 ] && die "the guest did not finish in $seconds s"
        die "the guest ended without a verdict (qemu: $status)"
    fi
    return "$code"
}

case ${1:-} in
    image) image ;;
    run) run "$2" "${3:-}" ;;
    *) sed -n '2,6s/^# //p' "$0"; exit 2 ;;
esac
