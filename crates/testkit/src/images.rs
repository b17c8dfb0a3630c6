//! Test images as OCI layouts, made of folders (one a layer) and of real Debian packages, and pushed by skopeo.

use crate::{Registry, bundle, peers, run};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An OCI layout folder with one image, tagged `latest` in it.
#[derive(Clone, Debug)]
pub struct Layout(pub PathBuf);

impl Layout {
    /// Copies it into a registry with skopeo and returns its reference, e.g. `127.0.0.1:40001/web:1`.
    ///
    /// # Panics
    /// When skopeo is not here or fails.
    pub fn push(&self, registry: &Registry, name_and_tag: &str) -> String {
        let reference = registry.reference(name_and_tag);
        let mut skopeo = Command::new(peers::need("skopeo"));
        skopeo.args(["copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false"]);
        skopeo.arg(format!("oci:{}:latest", self.0.display())).arg(format!("docker://{reference}"));
        run(&mut skopeo).ok();
        reference
    }
}

/// Writes an image with one gzip layer for each folder. `config` is the image config's `config` object.
///
/// # Panics
/// When tar is not here, or the files cannot be written.
pub fn write_layout(path: &Path, layers: &[PathBuf], config: Value) -> Layout {
    fs::create_dir_all(path.join("blobs/sha256")).expect("make the layout");
    let written: Vec<(String, Value)> = layers.iter().map(|dir| write_layer(path, dir)).collect();
    let diff_ids: Vec<&String> = written.iter().map(|(diff_id, _)| diff_id).collect();
    let descriptors: Vec<&Value> = written.iter().map(|(_, descriptor)| descriptor).collect();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({
        "architecture": architecture, "os": "linux", "config": config, "created": "2026-01-01T00:00:00Z",
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = write_json(path, "application/vnd.oci.image.config.v1+json", &config);
    let media = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({ "schemaVersion": 2, "mediaType": media, "config": config, "layers": descriptors });
    let mut manifest = write_json(path, media, &manifest);
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(path.join("index.json"), index.to_string()).expect("write index.json");
    fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("write oci-layout");
    Layout(path.to_owned())
}

/// The diffID and the descriptor of a folder's content as a layer: files in order, owned by root, times zero.
fn write_layer(layout: &Path, dir: &Path) -> (String, Value) {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--numeric-owner", "--owner=0", "--group=0", "--mtime=@0", "-C"])
        .arg(dir)
        .args(["-c", "."]);
    let archive = tar.output().expect("run tar");
    assert!(archive.status.success(), "tar: {}", String::from_utf8_lossy(&archive.stderr));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive.stdout).expect("write to memory");
    let packed = gzip.finish().expect("write to memory");
    (digest(&archive.stdout), write_blob(layout, "application/vnd.oci.image.layer.v1.tar+gzip", &packed))
}

fn write_json(layout: &Path, media: &str, value: &Value) -> Value {
    write_blob(layout, media, value.to_string().as_bytes())
}

fn write_blob(layout: &Path, media: &str, bytes: &[u8]) -> Value {
    let digest = digest(bytes);
    fs::write(layout.join("blobs").join(digest.replace(':', "/")), bytes).expect("write a blob");
    json!({ "mediaType": media, "digest": digest, "size": bytes.len() })
}

fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::from("sha256:"), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// Busybox with its applets as hard links: one layer.
///
/// # Panics
/// When busybox is not here.
pub fn busybox() -> Layout {
    made("busybox", &"1", |work| {
        let root = work.join("root");
        bundle::busybox_rootfs(&root);
        (vec![root], json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }))
    })
}

/// Debian's nginx: base libraries, the server, and its configuration with a page, which also removes the documentation of
/// the layers below.
///
/// # Panics
/// When Debian's packages or busybox are not here.
pub fn nginx() -> Layout {
    let folder = peers::cache().join("peers/nginx-debs");
    let entries = fs::read_dir(&folder)
        .unwrap_or_else(|_| panic!("get Debian's nginx with `crates/testkit/peers/peers.sh nginx-debs`"));
    let mut debs: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "deb")).collect();
    debs.sort();
    let (server, base): (Vec<_>, Vec<_>) = debs.iter().cloned().partition(|d| name_of(d).starts_with("nginx"));
    made("nginx", &debs, |work| {
        let (libs, web, site) = (work.join("libs"), work.join("web"), work.join("site"));
        bundle::busybox_rootfs(&libs);
        unpack(&base, &libs);
        let passwd = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/sh\n";
        fs::write(libs.join("etc/passwd"), passwd).expect("passwd");
        fs::write(libs.join("etc/group"), "root:x:0:\nwww-data:x:33:\n").expect("group");
        unpack(&server, &web);
        write_site(&site);
        let command = json!({ "Entrypoint": ["nginx"], "Cmd": ["-g", "daemon off;"], "ExposedPorts": { "80/tcp": {} }, "StopSignal": "SIGQUIT",
            "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SERVED_BY=plimsoll"] });
        (vec![libs, web, site], command)
    })
}

fn write_site(site: &Path) {
    for dir in ["etc/nginx", "var/www/html", "var/log/nginx", "var/lib/nginx", "usr/share"] {
        fs::create_dir_all(site.join(dir)).expect("make a folder");
    }
    let config = "user www-data;\nworker_processes 1;\npid /run/nginx.pid;\nerror_log stderr notice;\nevents { worker_connections 64; }\n\
        http { access_log /dev/stdout; server { listen 80; root /var/www/html; } }\n";
    fs::write(site.join("etc/nginx/nginx.conf"), config).expect("nginx.conf");
    fs::write(site.join("var/www/html/index.html"), "<h1>Plimsoll carries nginx</h1>\n").expect("page");
    fs::write(site.join("usr/share/.wh.doc"), "").expect("whiteout");
}

fn unpack(debs: &[PathBuf], into: &Path) {
    fs::create_dir_all(into).expect("make a folder");
    for deb in debs {
        run(Command::new("dpkg-deb").arg("-x").arg(deb).arg(into)).ok();
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The layout `name` in the cache, made by `make` when it is not there for this `key` (e.g. the versions in it).
fn made(name: &str, key: &dyn std::fmt::Debug, make: impl FnOnce(&Path) -> (Vec<PathBuf>, Value)) -> Layout {
    const FORMAT: u32 = 1;
    let key = digest(format!("{FORMAT} {key:?}").as_bytes());
    let path = peers::cache().join("images").join(format!("{name}-{}", &key[7..19]));
    if path.is_dir() {
        return Layout(path);
    }
    // Made beside and renamed: another test may be making the same.
    let work = path.with_extension(format!("{}.work", std::process::id()));
    let (layers, config) = make(&work.join("layers"));
    write_layout(&work.join("layout"), &layers, config);
    let renamed = fs::rename(work.join("layout"), &path);
    assert!(renamed.is_ok() || path.is_dir(), "{}: {renamed:?}", path.display());
    fs::remove_dir_all(&work).expect("remove the work folder");
    Layout(path)
}
