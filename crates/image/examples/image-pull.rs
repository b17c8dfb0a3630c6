//! Pulls, lists or removes images in a root of its own, without a daemon: for tests and measurements.
//!
//! `image-pull ROOT pull REFERENCE [--user NAME:PASSWORD] [--mirror HOST=URL]` · `image-pull ROOT list` ·
//! `image-pull ROOT remove NAME` · `image-pull ROOT mount NAME KEY` (prints the mounts as JSON)
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people and tests")]

use plimsoll_fault::{Fault, Result};
use plimsoll_image::{Auth, Config, Db, Image, PullRequest, Store};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

const NAMESPACE: &str = "k8s.io";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            println!("{}", fault.to_json());
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [root, verb, rest @ ..] = words.as_slice() else { return Err(usage()) };
    let mut config = Config::new(Db::open(Path::new(root))?);
    for (host, url) in options(rest, "--mirror").filter_map(|value| value.split_once('=')) {
        config.registry.mirrors.entry(host.to_owned()).or_default().push(url.to_owned());
    }
    let store = Store::open(config).await?;
    match (*verb, rest) {
        ("pull", [reference, ..]) => pull(&store, reference, rest).await?,
        ("list", _) => store.images(NAMESPACE).await?.iter().for_each(show),
        ("remove", [name, ..]) => {
            let start = Instant::now();
            let there = store.remove_image(NAMESPACE, name).await?;
            println!("removed={there} ms={}", start.elapsed().as_millis());
            store.settle().await;
            println!("settled ms={}", start.elapsed().as_millis());
        }
        ("mount", [name, key, ..]) => {
            let image = store.image(NAMESPACE, name).await?.ok_or_else(usage)?;
            let parent = image.chain.last().map(ToString::to_string);
            let snapshotter = store.snapshotter(NAMESPACE)?;
            let mounts = snapshotter.prepare(key, parent.as_deref(), BTreeMap::new())?;
            println!("{}", serde_json::to_string(&mounts).map_err(|_| usage())?);
        }
        _ => return Err(usage()),
    }
    store.close().await;
    Ok(())
}

fn options<'a>(rest: &'a [&'a str], name: &'a str) -> impl Iterator<Item = &'a str> {
    rest.windows(2).filter(move |pair| pair[0] == name).map(|pair| pair[1])
}

fn usage() -> Fault {
    Fault::invalid("arguments", "image-pull ROOT pull|list|remove|mount …")
}

async fn pull(store: &Store, reference: &str, rest: &[&str]) -> Result<()> {
    let reference = reference.parse().map_err(|error| Fault::invalid("arguments", "bad reference").because(&error))?;
    let credentials = options(rest, "--user").next().and_then(|user| user.split_once(':'));
    let auth =
        credentials.map(|(name, password)| Auth::Basic { username: name.to_owned(), password: password.to_owned() });
    let start = Instant::now();
    let request = PullRequest { namespace: NAMESPACE.to_owned(), reference, auth, progress: None };
    let image = store.pull(request).await?;
    println!("ms={}", start.elapsed().as_millis());
    show(&image);
    Ok(())
}

fn show(image: &Image) {
    println!(
        "{} {} {} layers={} size={}",
        image.id,
        image.tags.join(","),
        image.repo_digests.join(","),
        image.chain.len(),
        image.size
    );
}
