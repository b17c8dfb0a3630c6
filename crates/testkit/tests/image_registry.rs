//! The image store against the real distribution registry, with real images written by tar, skopeo and Debian's packages.
#![cfg(feature = "privileged")]

use plimsoll_fault::{Fault, Kind};
use plimsoll_image::db::Record;
use plimsoll_image::{Config, Db, Image, PullRequest, Store};
use plimsoll_testkit::{Registry, Scratch, images, run};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAMESPACE: &str = "k8s.io";

async fn open(root: &Path) -> Store {
    Store::open(Config::new(Db::open(root).unwrap())).await.unwrap()
}

async fn pull(store: &Store, reference: &str) -> Result<Image, Fault> {
    let reference = reference.parse().unwrap();
    store.pull(PullRequest { namespace: NAMESPACE.into(), reference, auth: None, progress: None }).await
}

/// Mounts a container's root of the image below the scratch, which unmounts it.
fn mount(store: &Store, image: &Image, scratch: &Scratch, key: &str) -> PathBuf {
    let parent = image.chain.last().map(ToString::to_string);
    let snapshotter = store.snapshotter(NAMESPACE).unwrap();
    let mounts = snapshotter.prepare(key, parent.as_deref(), BTreeMap::new()).unwrap();
    let target = scratch.dir(&format!("mnt-{key}"));
    for described in mounts {
        let mut command = Command::new("mount");
        command.args(["-t", if described.kind == "bind" { "none" } else { &described.kind }]);
        command.args(["-o", &described.options.join(","), &described.source]).arg(&target);
        run(&mut command).ok();
    }
    target
}

/// One line a file: path, type, mode, owner, size (of files), link, hard links, modification time, device.
fn listing(root: &Path) -> Vec<String> {
    let format = "%P|%y|%m|%U:%G|%l|%T@|%n\\n";
    let output = Command::new("find").arg(root).args(["-mindepth", "1", "-printf", format]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    // A folder's count of links is its file system's affair.
    lines
        .iter()
        .map(|line| if line.contains("|d|") { line.rsplit_once('|').unwrap().0.to_owned() } else { line.clone() })
        .collect()
}

fn sums(root: &Path) -> Vec<String> {
    let script = "find . -type f -print0 | sort -z | xargs -0 sha256sum; getfattr -R -h -d -m - . 2>/dev/null | grep -v '^# file: \\.$'; \
        find . -type c -o -type b | sort | xargs -r stat -c '%n %t %T'";
    let output = Command::new("sh").args(["-c", script]).current_dir(root).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Everything that a layer can hold.
fn make_tree(root: &Path) {
    let script = r#"set -e
        mkdir -p bin etc 'name with spaces' dev deep/a/b/c empty
        cp /bin/cat bin/cat; chmod 4755 bin/cat; ln bin/cat bin/cat2; ln -s ../bin/cat etc/link; ln -s /nowhere etc/dangling
        echo hello > 'name with spaces/ü file'; chown 1000:2000 'name with spaces/ü file'; chmod 0600 'name with spaces/ü file'
        mknod dev/null c 1 3; mknod dev/blk b 7 200; mkfifo dev/fifo; chmod 1777 empty; chmod 2750 deep; chown 33:33 deep/a
        truncate -s 64M deep/sparse; printf tail >> deep/sparse
        f=$(printf 'x%.0s' $(seq 1 180)); mkdir -p "deep/$f/$f"; echo long > "deep/$f/$f/$f"
        touch -d '2001-02-03 04:05:06.789' etc/old; touch -h -d '2002-02-02' etc/link
        setfattr -n user.note -v yes etc/old 2>/dev/null || true
        setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 bin/cat2 2>/dev/null || true
        touch -d '2003-03-03' deep deep/a bin
    "#;
    fs::create_dir_all(root).unwrap();
    run(Command::new("sh").args(["-c", script]).current_dir(root)).ok();
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn blob(layout: &Path, media: &str, bytes: &[u8]) -> Value {
    let digest = sha256(bytes);
    fs::write(layout.join("blobs").join(digest.replace(':', "/")), bytes).unwrap();
    json!({ "mediaType": media, "digest": digest, "size": bytes.len() })
}

/// An image of archives as they are, packed as the media type's `suffix` says.
fn layout(path: &Path, archives: &[Vec<u8>], suffix: &str) -> images::Layout {
    fs::create_dir_all(path.join("blobs/sha256")).unwrap();
    let diff_ids: Vec<String> = archives.iter().map(|archive| sha256(archive)).collect();
    let pack = |archive: &Vec<u8>| {
        let packed = match suffix {
            "+gzip" => {
                let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                packer.write_all(archive).unwrap();
                packer.finish().unwrap()
            }
            "+zstd" => zstd::stream::encode_all(archive.as_slice(), 1).unwrap(),
            _ => archive.clone(),
        };
        blob(path, &format!("application/vnd.oci.image.layer.v1.tar{suffix}"), &packed)
    };
    let layers: Vec<Value> = archives.iter().map(pack).collect();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({ "architecture": architecture, "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    let config = blob(path, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let media = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({ "schemaVersion": 2, "mediaType": media, "config": config, "layers": layers });
    let mut manifest = blob(path, media, manifest.to_string().as_bytes());
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    fs::write(path.join("index.json"), json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string()).unwrap();
    fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    images::Layout(path.to_owned())
}

fn tar(root: &Path, format: &str) -> Vec<u8> {
    let mut tar = Command::new("tar");
    tar.args(["--xattrs", "--xattrs-include=*", "--sparse", "--sort=name", &format!("--format={format}"), "-C"]);
    let output = tar.arg(root).args(["-c", "."]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_with_everything_comes_out_as_it_went_in() {
    let scratch = Scratch::new();
    let registry = Registry::start(&scratch);
    let tree = scratch.join("tree");
    make_tree(&tree);
    let store = open(&scratch.dir("root")).await;
    for (name, format, suffix) in [("gz", "posix", "+gzip"), ("zst", "posix", "+zstd"), ("plain", "posix", "")] {
        let layout = layout(&scratch.join(name), &[tar(&tree, format)], suffix);
        let image = pull(&store, &layout.push(&registry, &format!("{name}:1"))).await.unwrap();
        let got = mount(&store, &image, &scratch, name);
        assert_eq!(listing(&got), listing(&tree), "{name}");
        assert_eq!(sums(&got), sums(&tree), "{name}");
        assert!(fs::metadata(got.join("deep/sparse")).unwrap().len() > 64 << 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whiteouts_hide_in_the_mounted_root() {
    let scratch = Scratch::new();
    let registry = Registry::start(&scratch);
    let (lower, upper) = (scratch.dir("lower"), scratch.dir("upper"));
    for name in ["gone", "opaque/below", "kept/below", "tree/a/b"] {
        fs::create_dir_all(lower.join(name).parent().unwrap()).unwrap();
        fs::write(lower.join(name), name).unwrap();
    }
    for name in [".wh.gone", "opaque/.wh..wh..opq", "opaque/above", "kept/above", ".wh.tree"] {
        fs::create_dir_all(upper.join(name).parent().unwrap()).unwrap();
        fs::write(upper.join(name), name).unwrap();
    }
    symlink("kept", upper.join("link")).unwrap();
    let layout = images::write_layout(&scratch.join("layout"), &[lower, upper], json!({}));
    let store = open(&scratch.dir("root")).await;
    let image = pull(&store, &layout.push(&registry, "wh:1")).await.unwrap();
    let root = mount(&store, &image, &scratch, "c");
    let mut names: Vec<String> =
        listing(&root).iter().map(|line| line.split('|').next().unwrap_or_default().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["kept", "kept/above", "kept/below", "link", "opaque", "opaque/above"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_image_is_pulled_and_all_of_it_removed() {
    let scratch = Scratch::new();
    let registry = Registry::start(&scratch);
    let reference = images::nginx().push(&registry, "web/nginx:1");
    let root = scratch.dir("root");
    let store = open(&root).await;
    let image = pull(&store, &reference).await.unwrap();
    assert_eq!((image.chain.len(), image.config.config.entrypoint.as_slice()), (3, ["nginx".to_owned()].as_slice()));
    let mounted = mount(&store, &image, &scratch, "c");
    run(Command::new("chroot").arg(&mounted).args(["/usr/sbin/nginx", "-v"])).ok();
    // A container still stands on it: the name goes, the layers stay.
    assert!(store.remove_image(NAMESPACE, &reference).await.unwrap());
    assert!(mounted.join("usr/sbin/nginx").exists());
    run(Command::new("umount").arg(&mounted)).ok();
    // The last container takes the layers with it.
    store.snapshotter(NAMESPACE).unwrap().remove("c").unwrap();
    store.settle().await;
    for folder in ["content/blobs/sha256", "content/ingest", "snapshots/overlayfs"] {
        assert_eq!(root.join(folder).read_dir().unwrap().count(), 0, "{folder}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_the_stores_fault_and_leaves_nothing() {
    let scratch = Scratch::new();
    let registry = Registry::start(&scratch);
    let reference = images::nginx().push(&registry, "web/nginx:1");
    let root = scratch.dir("small");
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=20m", "tmpfs"]).arg(&root)).ok();
    let store = open(&root).await;
    let fault = pull(&store, &reference).await.unwrap_err();
    assert_eq!((fault.layer().name(), fault.class()), ("store", Kind::ResourceExhausted), "{fault}");
    store.settle().await;
    for folder in ["content/blobs/sha256", "content/ingest", "snapshots/overlayfs"] {
        assert_eq!(root.join(folder).read_dir().unwrap().count(), 0, "{folder}");
    }
    run(Command::new("mount").args(["-o", "remount,size=200m"]).arg(&root)).ok();
    pull(&store, &reference).await.unwrap();
}

#[test]
fn a_database_that_met_a_full_disk_works_again() {
    let scratch = Scratch::new();
    let root = scratch.dir("tiny");
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&root)).ok();
    let db = Db::open(&root).unwrap();
    let table = db.table::<String>("test");
    table.put("ns", "before", &Record::new("kept".to_owned())).unwrap();
    let ballast = root.join("ballast");
    let full = Command::new("sh").args(["-c", "cat /dev/zero > ballast"]).current_dir(&root).output().unwrap();
    assert!(!full.status.success());
    let large = Record::new("x".repeat(1 << 20));
    let fault = (0..8).find_map(|n| table.put("ns", &format!("large-{n}"), &large).err()).expect("the disk is full");
    assert_eq!((fault.layer().name(), fault.class()), ("store", Kind::ResourceExhausted), "{fault}");
    fs::remove_file(ballast).unwrap();
    assert_eq!(table.read("ns", "before").unwrap().unwrap().value, "kept");
    table.put("ns", "after", &Record::new("written".to_owned())).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_answers_for_a_registry_that_is_not_there() {
    let scratch = Scratch::new();
    let registry = Registry::start(&scratch);
    images::busybox().push(&registry, "team/busybox:1");
    let mut config = Config::new(Db::open(&scratch.dir("root")).unwrap());
    let mirrors = vec!["http://127.0.0.1:1".to_owned(), format!("http://{}", registry.address())];
    config.registry.mirrors.insert("registry.example".into(), mirrors);
    let store = Store::open(config).await.unwrap();
    let image = pull(&store, "registry.example/team/busybox:1").await.unwrap();
    assert_eq!(image.tags, ["registry.example/team/busybox:1"]);
}
