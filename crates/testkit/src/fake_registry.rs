//! A registry in this process that answers as it is told, wrongly where a test wants it wrong. For what is right, see
//! [`crate::Registry`], the real one.

use crate::tar::Tar;
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What is answered, by path below `/v2/`.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Fewer bytes than announced are sent, then the connection ends.
    pub cut_at: Option<usize>,
    /// How long the answer is held back, as it was when it was asked for.
    pub held: Duration,
}

#[derive(Debug, Default)]
struct Shelf {
    answers: BTreeMap<String, Answer>,
    asked: Vec<String>,
    authorization: Option<String>,
    challenge: String,
}

/// Listens on loopback until the test process ends.
#[derive(Clone, Debug)]
pub struct FakeRegistry {
    address: SocketAddr,
    shelf: Arc<Mutex<Shelf>>,
}

/// An image that was put into a registry.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// `127.0.0.1:PORT/name:tag`.
    pub reference: String,
    pub manifest: String,
    pub config: String,
    pub layers: Vec<String>,
}

impl FakeRegistry {
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start() -> FakeRegistry {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let registry =
            FakeRegistry { address: listener.local_addr().expect("an address"), shelf: Arc::new(Mutex::default()) };
        let shelf = Arc::clone(&registry.shelf);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shelf = Arc::clone(&shelf);
                // A client that goes away in the middle is no failure of the test.
                std::thread::spawn(move || drop(answer(stream, &shelf)));
            }
        });
        registry
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers 401 with a Basic challenge to all that lack these credentials.
    pub fn demand_basic(&self, base64_of_user_and_password: &str) {
        let mut shelf = self.shelf();
        shelf.authorization = Some(format!("Basic {base64_of_user_and_password}"));
        shelf.challenge = "Basic realm=\"test\"".to_owned();
    }

    /// Answers 401 with a Bearer challenge to all that lack this token. The token endpoint is this registry's own
    /// (`/v2/token`) and gives it to everybody.
    pub fn demand_bearer(&self, token: &str) {
        self.put("token", "application/json", json!({ "token": token, "expires_in": 300 }).to_string().as_bytes());
        let challenge = format!("Bearer realm=\"http://{}/v2/token\",service=\"fake\"", self.address);
        let mut shelf = self.shelf();
        shelf.authorization = Some(format!("Bearer {token}"));
        shelf.challenge = challenge;
    }

    /// The request lines so far, such as `GET /v2/a/manifests/1`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.shelf().asked.clone()
    }

    /// Puts a blob under its true digest, and returns it.
    pub fn blob(&self, name: &str, content: &[u8]) -> String {
        let digest = digest(content);
        self.put(&format!("{name}/blobs/{digest}"), "application/octet-stream", content);
        digest
    }

    /// Puts an image with these archives as gzip layers, and `config` as its configuration's `config` object.
    pub fn image(&self, name: &str, tag: &str, layers: &[Tar], config: serde_json::Value) -> Pushed {
        let archives: Vec<Vec<u8>> = layers.iter().map(|tar| tar.clone().bytes()).collect();
        let diff_ids: Vec<String> = archives.iter().map(|bytes| digest(bytes)).collect();
        let blobs: Vec<(String, usize)> =
            archives.iter().map(|bytes| gzip(bytes)).map(|packed| (self.blob(name, &packed), packed.len())).collect();
        let document = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, "os": "linux",
            "config": config, "rootfs": { "type": "layers", "diff_ids": diff_ids }
        })
        .to_string();
        let config = self.blob(name, document.as_bytes());
        let layer = |(digest, size): &(String, usize)| json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": document.len() },
            "layers": blobs.iter().map(layer).collect::<Vec<_>>()
        })
        .to_string();
        let by_digest = digest(manifest.as_bytes());
        self.put(&format!("{name}/manifests/{tag}"), MANIFEST, manifest.as_bytes());
        self.put(&format!("{name}/manifests/{by_digest}"), MANIFEST, manifest.as_bytes());
        Pushed {
            reference: format!("{}/{name}:{tag}", self.address),
            manifest: by_digest,
            config,
            layers: blobs.into_iter().map(|(digest, _)| digest).collect(),
        }
    }

    /// Changes what is answered for a path below `/v2/`; nothing there yet is an empty 200.
    pub fn change(&self, path: &str, change: impl FnOnce(&mut Answer)) {
        let mut shelf = self.shelf();
        let empty = Answer { status: 200, headers: Vec::new(), body: Vec::new(), cut_at: None, held: Duration::ZERO };
        change(shelf.answers.entry(path.to_owned()).or_insert(empty));
    }

    fn put(&self, path: &str, kind: &str, content: &[u8]) {
        let headers =
            vec![("Content-Type".to_owned(), kind.to_owned()), ("Docker-Content-Digest".to_owned(), digest(content))];
        let answer = Answer { status: 200, headers, body: content.to_vec(), cut_at: None, held: Duration::ZERO };
        self.shelf().answers.insert(path.to_owned(), answer);
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A root file system of busybox with hard-linked applets, and a passwd file.
///
/// # Panics
/// When there is no static busybox on this machine.
#[must_use]
pub fn busybox_layer() -> Tar {
    let program = std::fs::read(crate::peers::need("busybox")).expect("busybox");
    let mut tar = Tar::new().dir("bin", 0o755).dir("etc", 0o755).dir("tmp", 0o1777).dir("proc", 0o755);
    tar = tar.dir("sys", 0o755).dir("dev", 0o755).dir("root", 0o700).file("bin/busybox", 0o755, program);
    for applet in "sh ls cat echo sleep ps id hostname ip wget httpd env touch mount true false kill head dd stat grep \
                   mkdir rm printenv pwd test date tail wc seq df trap usleep readlink"
        .split_whitespace()
    {
        tar = tar.hard_link(&format!("bin/{applet}"), "bin/busybox");
    }
    tar.file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n").file(
        "etc/group",
        0o644,
        "root:x:0:\nnogroup:x:65534:\n",
    )
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).and_then(|()| packer.finish()).expect("memory is writable")
}

fn answer(stream: TcpStream, shelf: &Mutex<Shelf>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut parts = line.split(' ');
    let (method, path) = (parts.next().unwrap_or_default().to_owned(), parts.next().unwrap_or_default().to_owned());
    let mut authorization = None;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        {
            debug_assert!(!name.is_empty());
            authorization = Some(value.trim().to_owned());
        }
    }
    let answer = choose(&mut shelf.lock().unwrap_or_else(PoisonError::into_inner), &method, &path, authorization);
    std::thread::sleep(answer.held);
    send(stream, &answer, method == "HEAD")
}

fn choose(shelf: &mut Shelf, method: &str, path: &str, authorization: Option<String>) -> Answer {
    shelf.asked.push(format!("{method} {path}"));
    let plain = |status: u16, body: &str| Answer {
        status,
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: body.as_bytes().to_vec(),
        cut_at: None,
        held: Duration::ZERO,
    };
    let below = path.split('?').next().unwrap_or_default().trim_start_matches("/v2").trim_start_matches('/');
    if below != "token" && shelf.authorization.is_some() && shelf.authorization != authorization {
        let mut answer = plain(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#);
        answer.headers.push(("WWW-Authenticate".to_owned(), shelf.challenge.clone()));
        return answer;
    }
    if below.is_empty() {
        return plain(200, "{}");
    }
    let unknown = || plain(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#);
    shelf.answers.get(below).cloned().unwrap_or_else(unknown)
}

fn send(mut stream: TcpStream, answer: &Answer, head: bool) -> std::io::Result<()> {
    let mut text =
        format!("HTTP/1.1 {} Told\r\nConnection: close\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n").as_bytes())?;
    if head {
        return Ok(());
    }
    stream.write_all(&answer.body[..answer.cut_at.unwrap_or(answer.body.len()).min(answer.body.len())])
}
