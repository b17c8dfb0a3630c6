//! What the image store makes of registries and images that are not right: the fault names the layer and the thing,
//! nothing is left behind, and the next correct pull works. Needs no privileges.

use plimsoll_fault::{Fault, Kind};
use plimsoll_image::{Auth, Config, Db, Image, PullRequest, Rights, Store};
use plimsoll_testkit::fake_registry::{Answer, FakeRegistry, Pushed};
use plimsoll_testkit::tar::Tar;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

const NAMESPACE: &str = "k8s.io";

struct Place {
    dir: tempfile::TempDir,
    store: Store,
    registry: FakeRegistry,
}

impl Place {
    async fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        Place { dir, store, registry: FakeRegistry::start() }
    }

    fn image(&self, layers: &[Tar]) -> Pushed {
        self.registry.image("app", "1", layers, json!({ "Cmd": ["/bin/true"] }))
    }

    async fn pull(&self, reference: &str) -> Result<Image, Fault> {
        self.pull_as(reference, None).await
    }

    async fn pull_as(&self, reference: &str, auth: Option<Auth>) -> Result<Image, Fault> {
        pull(&self.store, reference, auth).await
    }

    /// The pull fails, leaves no byte, and the fault says all of `words`.
    async fn refused(&self, reference: &str, layer: &str, kind: Kind, words: &[&str]) {
        let fault = self.pull(reference).await.expect_err("the pull must fail");
        assert_eq!((fault.layer().name(), fault.class()), (layer, kind), "{fault}");
        let line = fault.to_string();
        for word in words {
            assert!(line.contains(word), "{word:?} is missing in: {line}");
        }
        assert_eq!(fault.subject().image.as_deref(), Some(reference));
        self.nothing_is_left().await;
    }

    async fn nothing_is_left(&self) {
        assert!(self.store.images(NAMESPACE).await.unwrap().is_empty());
        assert!(self.store.snapshotter(NAMESPACE).unwrap().walk().unwrap().is_empty());
        self.store.settle().await;
        for folder in ["content/blobs/sha256", "content/ingest", "snapshots/overlayfs"] {
            let left: Vec<_> = self.dir.path().join(folder).read_dir().unwrap().map(|e| e.unwrap().path()).collect();
            assert!(left.is_empty(), "left behind: {left:?}");
        }
    }
}

async fn open(root: &Path) -> Store {
    let mut config = Config::new(Db::open(root).unwrap());
    config.rights = Rights::NONE;
    Store::open(config).await.unwrap()
}

async fn pull(store: &Store, reference: &str, auth: Option<Auth>) -> Result<Image, Fault> {
    let reference = reference.parse().unwrap();
    store.pull(PullRequest { namespace: NAMESPACE.into(), reference, auth, progress: None }).await
}

fn layers() -> Vec<Tar> {
    vec![
        Tar::new().dir("etc", 0o755).file("etc/one", 0o644, "1".repeat(100_000)),
        Tar::new().file("etc/two", 0o644, "2").file(".wh.gone", 0o644, ""),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_image_is_pulled_found_and_removed() {
    let place = Place::new().await;
    let pushed = place.image(&layers());
    let image = place.pull(&pushed.reference).await.unwrap();
    assert_eq!(image.id.to_string(), pushed.config);
    assert_eq!(image.tags, std::slice::from_ref(&pushed.reference));
    let pinned = format!("{}/app@{}", place.registry.address(), pushed.manifest);
    assert_eq!((image.repo_digests.as_slice(), image.chain.len()), ([pinned.clone()].as_slice(), 2));
    for name in [pushed.reference.as_str(), &pinned, &pushed.config, &pushed.config[7..19]] {
        assert_eq!(place.store.image(NAMESPACE, name).await.unwrap().as_ref(), Some(&image), "{name}");
    }
    assert_eq!(place.store.image("other", &pushed.config).await.unwrap(), None, "namespaces are apart");
    assert_eq!(place.pull(&pinned).await.unwrap().id, image.id);
    assert!(place.store.usage().await.unwrap().bytes > 100_000);
    assert!(place.store.remove_image(NAMESPACE, &pushed.reference).await.unwrap());
    assert!(!place.store.remove_image(NAMESPACE, &pushed.reference).await.unwrap());
    place.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_opened_again_knows_its_images_and_fetches_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let registry = FakeRegistry::start();
    let pushed = registry.image("app", "1", &layers(), json!({}));
    let store = open(dir.path()).await;
    let image = pull(&store, &pushed.reference, None).await.unwrap();
    store.close().await;
    let store = open(dir.path()).await;
    assert_eq!(store.images(NAMESPACE).await.unwrap(), std::slice::from_ref(&image));
    let before = registry.asked().len();
    assert_eq!(pull(&store, &pushed.reference, None).await.unwrap(), image);
    assert_eq!(registry.asked().len(), before + 1, "only the tag is looked up: {:?}", registry.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_credentials_and_wrong_ones_are_told_apart() {
    let place = Place::new().await;
    let pushed = place.image(&layers());
    place.registry.demand_basic("dXNlcjpwYXNz");
    let host = place.registry.address().to_string();
    let none = format!("401 from {host}: no credentials for {host}/app");
    place.refused(&pushed.reference, "registry", Kind::Unauthenticated, &[&none]).await;
    let auth = |password: &str| Some(Auth::Basic { username: "user".into(), password: password.into() });
    let fault = place.pull_as(&pushed.reference, auth("wrong")).await.unwrap_err();
    assert!(fault.to_string().contains("the credentials for"), "{fault}");
    assert!(!fault.to_json().contains("wrong"), "a fault never shows a password");
    place.pull_as(&pushed.reference, auth("pass")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_token_is_fetched_once_per_repository() {
    let place = Place::new().await;
    let pushed = place.image(&layers());
    place.registry.demand_bearer("t0ken");
    place.pull(&pushed.reference).await.unwrap();
    let asked = place.registry.asked();
    let tokens: Vec<&String> = asked.iter().filter(|line| line.contains("/token")).collect();
    assert_eq!(tokens, ["GET /v2/token?service=fake&scope=repository%3Aapp%3Apull"]);
    place.registry.change("token", |answer| answer.status = 401);
    let other = place.registry.image("private", "1", &layers(), json!({}));
    let fault = place.pull(&other.reference).await.unwrap_err();
    assert_eq!(fault.class(), Kind::Unauthenticated, "{fault}");
    assert!(fault.to_string().contains("401 from the token endpoint"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_and_who_is_not_there() {
    let place = Place::new().await;
    let pushed = place.image(&layers());
    let missing = format!("{}/app:nope", place.registry.address());
    place.refused(&missing, "registry", Kind::NotFound, &["404 from", "app:nope", "manifest unknown"]).await;
    place.refused("127.0.0.1:1/app:1", "registry", Kind::Unavailable, &["cannot reach registry 127.0.0.1:1"]).await;
    place.registry.change(&format!("app/blobs/{}", pushed.layers[1]), |answer| answer.status = 404);
    place.refused(&pushed.reference, "registry", Kind::NotFound, &["404 from"]).await;
    place.registry.change(&format!("app/blobs/{}", pushed.layers[1]), |answer| answer.status = 200);
    place.pull(&pushed.reference).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_layers_leave_nothing() {
    let place = Place::new().await;
    let pushed = place.image(&layers());
    let path = format!("app/blobs/{}", pushed.layers[0]);
    let mut good = Vec::new();
    place.registry.change(&path, |answer| good = answer.body.clone());
    // The same length, another content.
    place.registry.change(&path, |answer| *answer.body.last_mut().unwrap() ^= 0xff);
    place.refused(&pushed.reference, "image", Kind::DataLoss, &[&pushed.layers[0]]).await;
    place.registry.change(&path, |answer| answer.body = [good.clone(), b"more".to_vec()].concat());
    place.refused(&pushed.reference, "image", Kind::DataLoss, &["larger than", &pushed.layers[0]]).await;
    place.registry.change(&path, |answer| answer.body = good[..good.len() / 2].to_vec());
    place.refused(&pushed.reference, "registry", Kind::Unavailable, &["ended after", &pushed.layers[0]]).await;
    place.registry.change(&path, |answer| {
        answer.body = good.clone();
        answer.cut_at = Some(good.len() / 2);
    });
    place.refused(&pushed.reference, "registry", Kind::Unavailable, &["broke off"]).await;
    place.registry.change(&path, |answer| answer.cut_at = None);
    place.pull(&pushed.reference).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_comes_back_is_asked_again() {
    let place = Place::new().await;
    let pushed = place.image(&layers());
    let path = format!("app/blobs/{}", pushed.layers[0]);
    place.registry.change(&path, |answer| answer.status = 503);
    let registry = place.registry.clone();
    let back = tokio::spawn(async move {
        while !registry.asked().contains(&format!("GET /v2/{path}")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        registry.change(&path, |answer| answer.status = 200);
    });
    place.pull(&pushed.reference).await.unwrap();
    back.await.unwrap();
    place.registry.change("app/manifests/1", |answer| answer.status = 500);
    let fault = place.pull(&pushed.reference).await.unwrap_err();
    assert_eq!(fault.class(), Kind::Unavailable, "{fault}");
    assert!(fault.to_string().contains("500 from"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_layers_are_refused_by_entry_and_leave_nothing() {
    let place = Place::new().await;
    let cases = [
        (Tar::new().file("../evil", 0o644, "x"), "../evil"),
        (Tar::new().file("/abs/evil", 0o644, "x"), "/abs/evil"),
        (Tar::new().symlink("l", "/tmp").file("l/evil", 0o644, "x"), "l/evil"),
        (Tar::new().hard_link("h", "../../etc/passwd"), "../../etc/passwd"),
    ];
    for (tar, word) in cases {
        let pushed = place.registry.image("evil", "1", &[layers().remove(0), tar], json!({}));
        place.refused(&pushed.reference, "image", Kind::InvalidArgument, &[word, &pushed.layers[1]]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_do_not_fit_are_refused() {
    let place = Place::new().await;
    let pushed = place.image(&layers());
    let reference = pushed.reference.as_str();
    let mut good = Vec::new();
    place.registry.change("app/manifests/1", |answer| good = answer.body.clone());
    let manifest: serde_json::Value = serde_json::from_slice(&good).unwrap();
    let answer_with = |document: &serde_json::Value| {
        let body = document.to_string().into_bytes();
        place.registry.change("app/manifests/1", |answer| {
            answer.headers.retain(|(name, _)| name != "Docker-Content-Digest");
            answer.body = body;
        });
    };
    let mut both = manifest.clone();
    both["manifests"] = json!([]);
    answer_with(&both);
    place.refused(reference, "image", Kind::InvalidArgument, &["ambiguous"]).await;
    let mut foreign = manifest.clone();
    foreign["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
    answer_with(&foreign);
    place.refused(reference, "image", Kind::InvalidArgument, &["no container image", "helm"]).await;
    let mut fewer = manifest.clone();
    fewer["layers"].as_array_mut().unwrap().pop();
    answer_with(&fewer);
    place.refused(reference, "image", Kind::InvalidArgument, &["1 layers but 2 diffIDs"]).await;
    let mut unsafe_layer = manifest.clone();
    unsafe_layer["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    answer_with(&unsafe_layer);
    place.refused(reference, "image", Kind::InvalidArgument, &["unsupported type"]).await;
    let mut swapped = manifest.clone();
    swapped["layers"].as_array_mut().unwrap().reverse();
    answer_with(&swapped);
    place.refused(reference, "image", Kind::DataLoss, &["uncompressed digest"]).await;
    place.registry.change("app/manifests/1", |answer| answer.body = vec![b' '; 5 << 20]);
    place.refused(reference, "registry", Kind::ResourceExhausted, &["exceeds"]).await;
    place.registry.change("app/manifests/1", |answer| answer.body = good.clone());
    place.pull(reference).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_other_than_asked_for_is_refused() {
    let place = Place::new().await;
    let pushed = place.image(&layers());
    let path = format!("app/manifests/{}", pushed.manifest);
    place.registry.change(&path, |answer| answer.body.push(b' '));
    let pinned = format!("{}/app@{}", place.registry.address(), pushed.manifest);
    place.refused(&pinned, "image", Kind::DataLoss, &["has digest", &pushed.manifest]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pulls_at_once_fetch_each_blob_once() {
    let place = Place::new().await;
    let pushed = place.image(&layers());
    let other = place.registry.image("app", "2", &layers(), json!({ "Cmd": ["other"] }));
    let mut pulls = Vec::new();
    for reference in [&pushed.reference, &other.reference].repeat(4) {
        let (store, reference) = (place.store.clone(), reference.clone());
        pulls.push(tokio::spawn(async move { pull(&store, &reference, None).await }));
    }
    // One caller goes away: the others notice nothing.
    pulls.pop().unwrap().abort();
    for pulled in pulls {
        pulled.await.unwrap().unwrap();
    }
    let asked = place.registry.asked();
    for layer in &pushed.layers {
        let count = asked.iter().filter(|line| line.contains(layer.as_str())).count();
        assert_eq!(count, 1, "{layer} was fetched {count} times");
    }
    assert_eq!(place.store.snapshotter(NAMESPACE).unwrap().walk().unwrap().len(), 2, "each chain is unpacked once");
    assert!(place.store.remove_image(NAMESPACE, &pushed.reference).await.unwrap());
    let left = place.store.image(NAMESPACE, &other.reference).await.unwrap().unwrap();
    let walk = place.store.snapshotter(NAMESPACE).unwrap().walk().unwrap();
    assert_eq!(walk.len(), left.chain.len(), "what the other image needs stays");
}

/// Two pulls of one image with different credentials: the first is at its second layer, which the registry holds back,
/// when the second comes along.
async fn joined(
    place: &Place,
    pushed: &Pushed,
    first: impl FnOnce(&mut Answer),
    then: impl FnOnce(&mut Answer),
) -> [Result<Image, Fault>; 2] {
    let path = format!("app/blobs/{}", pushed.layers[1]);
    place.registry.change(&path, |answer| {
        answer.held = Duration::from_millis(1500);
        first(answer);
    });
    let (store, reference) = (place.store.clone(), pushed.reference.clone());
    let leader = tokio::spawn(async move { pull(&store, &reference, None).await });
    while !place.registry.asked().contains(&format!("GET /v2/{path}")) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    place.registry.change(&path, |answer| {
        answer.held = Duration::ZERO;
        then(answer);
    });
    let own = Some(Auth::Basic { username: "user".into(), password: "pass".into() });
    let joiner = place.pull_as(&pushed.reference, own).await;
    [leader.await.unwrap(), joiner]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_joined_another_tries_itself_when_that_was_refused() {
    let place = Place::new().await;
    let pushed = place.image(&layers());
    let refused = |answer: &mut Answer| {
        answer.status = 401;
        answer.headers.push(("WWW-Authenticate".into(), "Basic realm=\"test\"".into()));
    };
    let [leader, joiner] = joined(&place, &pushed, refused, |answer| answer.status = 200).await;
    assert_eq!(leader.unwrap_err().class(), Kind::Unauthenticated);
    assert_eq!(joiner.unwrap().id.to_string(), pushed.config);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_joined_another_shares_what_is_wrong_with_the_content() {
    let place = Place::new().await;
    let pushed = place.image(&layers());
    let damage = |answer: &mut Answer| *answer.body.last_mut().unwrap() ^= 0xff;
    let [leader, joiner] = joined(&place, &pushed, damage, |_| {}).await;
    for fault in [leader.unwrap_err(), joiner.unwrap_err()] {
        assert_eq!((fault.layer().name(), fault.class()), ("image", Kind::DataLoss), "{fault}");
    }
    let asked = place.registry.asked();
    let times = asked.iter().filter(|line| line.contains(&format!("GET /v2/app/blobs/{}", pushed.layers[1]))).count();
    assert_eq!(times, 1, "bad content is not fetched again: {asked:?}");
    place.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_host_carries_no_credentials() {
    // CVE-2020-15157.
    let place = Place::new().await;
    let pushed = place.image(&layers());
    let elsewhere = FakeRegistry::start();
    let path = format!("app/blobs/{}", pushed.layers[0]);
    elsewhere.change(&path, |answer| answer.body = b"stolen".to_vec());
    elsewhere.demand_basic("dXNlcjpwYXNz");
    place.registry.demand_basic("dXNlcjpwYXNz");
    let to = format!("http://{}/v2/{path}", elsewhere.address());
    place.registry.change(&path, |answer| {
        answer.status = 307;
        answer.headers.push(("Location".into(), to));
    });
    let auth = Auth::Basic { username: "user".into(), password: "pass".into() };
    let fault = place.pull_as(&pushed.reference, Some(auth)).await.unwrap_err();
    // The other host demands exactly these credentials: its 401 shows that it did not get them.
    assert_eq!(fault.class(), Kind::Unauthenticated, "{fault}");
    assert!(!elsewhere.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moves_leaves_the_old_image_untagged() {
    let place = Place::new().await;
    let first = place.image(&layers());
    let old = place.pull(&first.reference).await.unwrap();
    let second = place.registry.image("app", "1", &layers()[..1], json!({ "Cmd": ["new"] }));
    let new = place.pull(&second.reference).await.unwrap();
    assert_ne!(old.id, new.id);
    let old = place.store.image(NAMESPACE, &old.id.to_string()).await.unwrap().unwrap();
    assert!(old.tags.is_empty() && old.repo_digests.len() == 1);
    assert_eq!(place.store.image(NAMESPACE, &first.reference).await.unwrap().unwrap().id, new.id);
}
