#!/bin/sh
# Obtains the other side's real software for tests, demo and benchmarks, by ordinary package clients only.
# usage: peers.sh NAME...      names: crictl runc crun busybox registry skopeo cni containerd containerd_2 nginx-debs seccomp-profiles podman docker youki
#        runsc runtime-tools (or "all")
# Programs go to ${PLIMSOLL_CACHE:-~/.cache/plimsoll}/peers/<name>-<version>/, with links in peers/bin/. What is there already
# is used as it is, so a second run needs no network. PLIMSOLL_REFRESH=1 obtains packages anew.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${PLIMSOLL_CACHE:-${HOME:-/root}/.cache/plimsoll}/peers
bin=$cache/bin
moby_profiles=v0.3.0
mkdir -p "$bin"
exec 9>"$cache/.lock"
flock 9

say() { echo "peers: $*" >&2; }
lack() { say "MISSING: $1"; say "  how to get it: $2"; missing=1; }
missing=0

apt_ready() {
    [ -n "${apt_fresh:-}" ] && return
    # A new machine has no package lists yet.
    ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || ls /var/lib/apt/lists/*Packages.lz4 >/dev/null 2>&1 || apt-get update -qq >&2 || true
    apt_fresh=1
}

# apt_install WHY PACKAGE...: installs on the machine what cannot run from a folder of its own.
apt_install() {
    why=$1; shift
    want=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || want="$want $package"
    done
    [ -z "$want" ] && return 0
    say "installing$want ($why)"
    apt_ready
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $want >"$cache/apt.log" 2>&1 ||
        { apt-get update -qq >>"$cache/apt.log" 2>&1 &&
          DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $want >>"$cache/apt.log" 2>&1; }
}

# apt_unpack NAME PACKAGE FILE: unpacks a Debian package into the cache and links FILE of it as bin/NAME.
apt_unpack() {
    name=$1; package=$2; file=$3
    [ -z "${PLIMSOLL_REFRESH:-}" ] && [ -x "$bin/$name" ] && return 0
    apt_ready
    work=$(mktemp -d "$cache/.work.XXXXXX")
    chmod 755 "$work"
    (cd "$work" && { apt-get download -qq "$package" || { apt-get update -qq && apt-get download -qq "$package"; }; }) >"$cache/apt.log" 2>&1 ||
        { rm -rf "$work"; return 1; }
    version=$(dpkg-deb -f "$work"/*.deb Version | tr ':~' '__')
    rm -rf "$cache/$package-$version"
    dpkg-deb -x "$work"/*.deb "$cache/$package-$version"
    rm -rf "$work"
    ln -sfn "$cache/$package-$version/$file" "$bin/$name"
    say "$package $version, unpacked into the cache (nothing installed)"
}

# apt_tree WHY PACKAGE...: unpacks Debian packages, with what they depend on and the machine lacks, into one folder, $tree.
# Nothing is installed: these packages would start daemons.
apt_tree() {
    why=$1; shift
    apt_ready
    work=$(mktemp -d "$cache/.work.XXXXXX")
    chmod 755 "$work"
    mkdir -p "$work/archives/partial"
    into="-y -qq --download-only --reinstall --no-install-recommends -o Dir::Cache::archives=$work/archives -o Debug::NoLocking=1 -o APT::Sandbox::User=root"
    # shellcheck disable=SC2086
    apt-get install $into "$@" >"$cache/apt.log" 2>&1 ||
        { apt-get update -qq >>"$cache/apt.log" 2>&1 && apt-get install $into "$@" >>"$cache/apt.log" 2>&1; } ||
        { rm -rf "$work"; return 1; }
    version=$(dpkg-deb -f "$work"/archives/"$1"_*.deb Version | tr ':~' '__')
    tree=$cache/$1-$version
    rm -rf "$tree"
    mkdir -p "$tree"
    for deb in "$work"/archives/*.deb; do dpkg-deb -x "$deb" "$tree"; done
    rm -rf "$work"
    say "$1 $version, unpacked into the cache (nothing installed): $why"
}

# go_build NAME MODULE PACKAGE CGO LDFLAGS-PREFIX TAGS
go_build() {
    name=$1; module=$2; package=$3; cgo=$4; variable=$5; tags=$6
    version=$(awk -v m="$module" '$1 == m && $2 ~ /^v/ { print $2; exit }' "$here/go.mod")
    [ -n "$version" ] || { say "go.mod names no version of $module"; return 1; }
    if [ ! -x "$cache/$name-$version/$name" ]; then
        command -v go >/dev/null || return 1
        say "building $name $version from its Go module (once; a minute or more)"
        (cd "$here" && CGO_ENABLED=$cgo GOFLAGS="-buildvcs=false -mod=readonly -p=${PLIMSOLL_GO_JOBS:-2}" nice -n 10 \
            go build -trimpath -tags "$tags" -ldflags "-s -w -X $variable=${version#v}" -o "$cache/$name-$version/$name" "$package") >"$cache/go-$name.log" 2>&1 ||
            { tail -5 "$cache/go-$name.log" >&2; return 1; }
    fi
    ln -sfn "$cache/$name-$version/$name" "$bin/$name"
}

# The engines' default profiles, for the comparison of seccomp filters.
get_seccomp_profiles() {
    [ -r "$bin/podman-seccomp.json" ] || apt_unpack podman-seccomp.json golang-github-containers-common usr/share/containers/seccomp.json ||
        lack "Podman's seccomp profile" "the Debian package golang-github-containers-common"
    [ -r "$bin/docker-seccomp.json" ] && return 0
    folder=$(cd / && go mod download -json "github.com/moby/profiles/seccomp@$moby_profiles" 2>/dev/null | awk -F'"' '$2 == "Dir" { print $4 }') || folder=
    if [ -n "$folder" ] && [ -r "$folder/default.json" ]; then
        mkdir -p "$cache/moby-profiles-$moby_profiles"
        cp -f "$folder/default.json" "$cache/moby-profiles-$moby_profiles/default.json"
        ln -sfn "$cache/moby-profiles-$moby_profiles/default.json" "$bin/docker-seccomp.json"
    else
        lack "Docker's seccomp profile" "the Go module github.com/moby/profiles/seccomp $moby_profiles"
    fi
}

get_crictl() {
    go_build crictl sigs.k8s.io/cri-tools sigs.k8s.io/cri-tools/cmd/crictl 0 sigs.k8s.io/cri-tools/pkg/version.Version "" ||
        lack crictl "install Go >= 1.26 (the Go module sigs.k8s.io/cri-tools is built once)"
}

get_runc() {
    [ -x "$bin/runc" ] || apt_install "runc links libseccomp" libseccomp-dev pkg-config gcc libc6-dev || true
    go_build runc github.com/opencontainers/runc github.com/opencontainers/runc 1 main.version "seccomp urfave_cli_no_docs" ||
        lack "runc >= 1.3" "install Go >= 1.26 and libseccomp-dev (the Go module github.com/opencontainers/runc is built once)"
}

# A current containerd beside the distribution's: the programs get the suffix -2.
get_containerd_2() {
    module=github.com/containerd/containerd/v2
    version=$(awk -v m="$module" '$1 == m && $2 ~ /^v/ { print $2; exit }' "$here/containerd/go.mod")
    tree=$cache/containerd-$version
    if [ ! -x "$tree/containerd-shim-runc-v2" ]; then
        command -v go >/dev/null || { lack "containerd 2" "install Go >= 1.26 (the Go module $module is built once)"; return 0; }
        say "building containerd $version from its Go module (once; minutes)"
        (cd "$here/containerd" && mkdir -p "$tree" && export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=readonly -p=${PLIMSOLL_GO_JOBS:-2}" &&
            for program in containerd ctr containerd-shim-runc-v2; do
                nice -n 10 go build -trimpath -tags "no_btrfs no_devmapper no_zfs no_tracing" -ldflags "-s -w -X $module/version.Version=${version#v}" \
                    -o "$tree/$program" "$module/cmd/$program" || exit 1
            done) >"$cache/go-containerd.log" 2>&1 ||
            { tail -5 "$cache/go-containerd.log" >&2; lack "containerd 2" "see $cache/go-containerd.log"; return 0; }
    fi
    for program in containerd ctr; do ln -sfn "$tree/$program" "$bin/$program-2"; done
}

# Debian sid's crun with its own libraries, started by its own loader; the machine's packages stay as they are.
get_crun() {
    [ -x "$bin/crun" ] && [ -z "${PLIMSOLL_REFRESH:-}" ] && return 0
    apt_install "apt's key of the archive" debian-archive-keyring || true
    apt_ready
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -v -i security | head -1)
    work=$(mktemp -d "$cache/.work.XXXXXX")
    chmod 755 "$work"
    mkdir -p "$work/lists/partial" "$work/archives/partial"
    : >"$work/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri sid main" >"$work/sources.list"
    sid="-o Dir::Etc::sourcelist=$work/sources.list -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null
        -o Dir::State::status=$work/status -o Dir::State::lists=$work/lists -o Dir::Cache=$work -o Dir::Cache::archives=$work/archives
        -o APT::Install-Recommends=false -o Debug::NoLocking=1 -o APT::Sandbox::User=root"
    # shellcheck disable=SC2086
    if [ -n "$uri" ] && apt-get $sid update -qq >"$cache/apt.log" 2>&1 &&
        apt-get $sid install -y -qq --download-only crun >>"$cache/apt.log" 2>&1; then
        version=$(dpkg-deb -f "$work"/archives/crun_*.deb Version | tr ':~' '__')
        tree=$cache/crun-$version
        rm -rf "$tree"
        mkdir -p "$tree"
        # sid has a merged /usr; the folders come first so that every package lands below usr/.
        for dir in bin sbin lib lib64; do mkdir -p "$tree/usr/$dir"; ln -s "usr/$dir" "$tree/$dir"; done
        for deb in "$work"/archives/*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$tree" --keep-directory-symlink; done
        loader=$(ls "$tree"/usr/lib64/ld-linux-*.so.* "$tree"/usr/lib/ld-linux-*.so.* 2>/dev/null | head -1)
        libs=$(dirname "$(find "$tree/usr/lib" -name 'libc.so.6' | head -1)")
        printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' "$loader" "$libs" "$tree/usr/bin/crun" >"$tree/run"
        chmod 755 "$tree/run"
        if "$tree/run" --version >/dev/null 2>&1; then
            ln -sfn "$tree/run" "$bin/crun"
            say "crun $version from Debian sid, unpacked into the cache (nothing installed)"
        fi
    fi
    rm -rf "$work"
    [ -x "$bin/crun" ] || lack "crun >= 1.27" "Debian sid's package must be reachable by apt (see $cache/apt.log)"
}

# The package that the distribution's users have, installed as such: its libraries are the distribution's.
get_crun_distribution() { [ -x /usr/bin/crun ] || apt_install "the distribution's crun, to be compared with" crun || lack "the distribution's crun" "apt-get install crun"; }

get_busybox() { apt_unpack busybox busybox-static bin/busybox || lack busybox "apt-get install busybox-static"; }
get_registry() { apt_unpack docker-registry docker-registry usr/bin/docker-registry || lack docker-registry "apt-get install docker-registry"; }
# containerd's shim lies beside it in the same folder.
get_containerd() { apt_unpack containerd containerd usr/bin/containerd || lack containerd "apt-get install containerd"; }
get_runsc() { apt_unpack runsc runsc usr/bin/runsc || lack runsc "apt-get install runsc"; }
# The validation programs of the runtime specification's own tools, with the root filesystem and the program that they put in it.
get_runtime_tools() {
    version=$(awk '$1 == "require" && $2 ~ /runtime-tools/ { print $3 }' "$here/runtime-tools/go.mod")
    tree=$cache/runtime-tools-$version
    module=github.com/opencontainers/runtime-tools
    if [ ! -x "$tree/runtimetest" ]; then
        command -v go >/dev/null || { lack runtime-tools "install Go >= 1.26 (the Go module $module is built once)"; return 0; }
        say "building the validation programs of $module $version (once; a minute or more)"
        rm -rf "$tree.work"
        mkdir -p "$tree.work"
        (cd "$here/runtime-tools" && export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=readonly -p=${PLIMSOLL_GO_JOBS:-2}" &&
            nice -n 10 go build -trimpath -ldflags "-s -w" -o "$tree.work/" "$module/validation/..." "$module/cmd/runtimetest" &&
            cp "$(go list -m -f '{{.Dir}}' "$module")"/rootfs-*.tar.gz "$tree.work/") >"$cache/go-runtime-tools.log" 2>&1 &&
            mv "$tree.work" "$tree" || { lack runtime-tools "see $cache/go-runtime-tools.log"; return 0; }
    fi
    ln -sfn "$tree" "$bin/runtime-tools"
}
# Unoptimised, which is fast enough to compare with. It has no default features: these are those of its releases.
get_youki() {
    version=0.7.0
    [ -x "$bin/youki" ] && [ -z "${PLIMSOLL_REFRESH:-}" ] && return 0
    apt_install "youki links libseccomp" libseccomp-dev pkg-config || true
    say "building youki $version from its crate (once; minutes)"
    nice -n 10 cargo install youki --force --version "$version" --locked --debug --features v1,v2,systemd,seccomp --quiet --root "$cache/youki-$version" \
        --target-dir "$cache/.youki" >"$cache/cargo-youki.log" 2>&1 &&
        ln -sfn "$cache/youki-$version/bin/youki" "$bin/youki" || lack youki "cargo install youki (see $cache/cargo-youki.log)"
    rm -rf "$cache/.youki"
}
# Podman's libraries lie in its folder: a wrapper says where.
get_podman() {
    [ -x "$bin/podman" ] && [ -z "${PLIMSOLL_REFRESH:-}" ] && return 0
    apt_tree "runs containers with plimrun as its runtime" podman conmon || { lack podman "apt-get install podman conmon"; return 0; }
    libs=$(dirname "$(find "$tree/usr/lib" -name 'libsubid.so*' | head -1)")
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$libs" "$tree/usr/bin/podman" >"$tree/run"
    chmod 755 "$tree/run"
    ln -sfn "$tree/usr/bin/conmon" "$bin/conmon"
    ln -sfn "$tree/run" "$bin/podman"
}
# Its containerd and containerd's shim lie in usr/bin of the same folder.
get_docker() {
    [ -x "$bin/dockerd" ] && [ -z "${PLIMSOLL_REFRESH:-}" ] && return 0
    apt_tree "its daemon runs containers with plimrun as a runtime" docker.io containerd || { lack dockerd "apt-get install docker.io"; return 0; }
    ln -sfn "$tree/usr/bin/docker" "$bin/docker"
    ln -sfn "$tree/usr/sbin/dockerd" "$bin/dockerd"
}
get_skopeo() {
    command -v skopeo >/dev/null || apt_install "copies test images into the registry" skopeo || lack skopeo "apt-get install skopeo"
}
get_cni() {
    [ -x /opt/cni/bin/bridge ] || [ -x /usr/lib/cni/bridge ] ||
        apt_install "the reference CNI plugins; portmap needs iptables" containernetworking-plugins iptables ||
        lack "CNI plugins" "apt-get install containernetworking-plugins"
}

# The Debian packages that the demo's server image is made of, one folder each.
get_nginx_debs() {
    debs=$cache/nginx-debs
    [ -f "$debs/complete" ] && [ -z "${PLIMSOLL_REFRESH:-}" ] && return 0
    apt_ready
    work=$(mktemp -d "$cache/.work.XXXXXX")
    chmod 755 "$work"
    packages="libc6 libcrypt1 libpcre2-8-0 libssl3 zlib1g base-files media-types nginx nginx-common"
    # shellcheck disable=SC2086
    if (cd "$work" && { apt-get download -qq $packages || { apt-get update -qq && apt-get download -qq $packages; }; }) >"$cache/apt.log" 2>&1; then
        rm -rf "$debs"
        mv "$work" "$debs"
        touch "$debs/complete"
        say "Debian's nginx and its libraries, downloaded as packages for the demo's server image (nothing installed)"
    else
        rm -rf "$work"
        lack "Debian's nginx packages" "make Debian's packages reachable by apt (see $cache/apt.log)"
    fi
}

[ $# -gt 0 ] || { sed -n '2,5s/^# //p' "$0"; exit 2; }
[ "$1" = all ] && set -- crictl runc crun busybox registry skopeo cni containerd containerd_2 nginx-debs seccomp-profiles podman docker youki runsc runtime-tools
for name in "$@"; do
    case $name in
        crictl) get_crictl ;;
        runc) get_runc ;;
        crun) get_crun ;;
        crun-distribution) get_crun_distribution ;;
        busybox) get_busybox ;;
        registry | docker-registry) get_registry ;;
        skopeo) get_skopeo ;;
        containerd) get_containerd ;;
        containerd_2) get_containerd_2 ;;
        cni) get_cni ;;
        nginx-debs) get_nginx_debs ;;
        seccomp-profiles) get_seccomp_profiles ;;
        podman) get_podman ;;
        youki) get_youki ;;
        runsc) get_runsc ;;
        runtime-tools) get_runtime_tools ;;
        docker) get_docker ;;
        *) say "no peer named $name"; exit 2 ;;
    esac
done
exit $missing
