//! A runtime with one bundle and one container id: the verbs as a case calls them.

use crate::run::with_deadline;
use crate::runtimes::Runtime;
use crate::{Bundle, Output, Scratch, bundle, leak};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// One runtime in a place of its own.
#[derive(Debug)]
pub struct Subject {
    pub runtime: Runtime,
    pub scratch: Scratch,
    pub bundle: Bundle,
    pub id: String,
}

impl Subject {
    /// A busybox bundle that runs `true`.
    pub fn new(runtime: Runtime) -> Subject {
        let scratch = Scratch::new();
        let mut bundle = bundle(&scratch);
        // Every peer takes this version; cases that need more set it.
        bundle.set("/ociVersion", serde_json::json!("1.0.2"));
        let id = scratch.id("c");
        Subject { runtime, scratch, bundle, id }
    }

    /// The container's program becomes a shell script.
    pub fn script(&mut self, script: &str) -> &mut Subject {
        self.bundle.args(&["/bin/sh", "-c", script]);
        self
    }

    /// A verb with its arguments.
    pub fn verb(&self, args: &[&str]) -> Output {
        self.ended(self.runtime.command(&self.scratch).args(args))
    }

    fn ended(&self, command: &mut Command) -> Output {
        // youki waits for ever in some cases: longer than in any in which it does not.
        let deadline = Duration::from_secs(if self.runtime.0 == "youki" { 5 } else { 60 });
        with_deadline(command, deadline).unwrap_or_else(|why| panic!("{why}"))
    }

    /// A verb whose last argument is the container's id.
    pub fn of(&self, args: &[&str]) -> Output {
        self.verb(&[args, &[&self.id]].concat())
    }

    /// `exec` of a shell script, with flags before the id.
    pub fn exec(&self, flags: &[&str], script: &str) -> Output {
        self.verb(&[&["exec"], flags, &[&self.id, "sh", "-c", script]].concat())
    }

    pub fn bundle_path(&self) -> String {
        self.bundle.path.to_string_lossy().into_owned()
    }

    /// `create` or `run` of the bundle, with flags.
    pub fn with_bundle(&self, verb: &str, flags: &[&str]) -> Output {
        let bundle = self.bundle_path();
        self.of(&[&[verb, "--bundle", &bundle], flags].concat())
    }

    pub fn create(&self) -> Output {
        self.with_bundle("create", &[])
    }

    pub fn run(&self) -> Output {
        self.with_bundle("run", &[])
    }

    /// `create` and `start` of a program that sleeps.
    ///
    /// # Panics
    /// When either fails.
    pub fn sleeping(&mut self) -> &mut Subject {
        self.bundle.args(&["sleep", "1000"]);
        self.create().ok();
        self.of(&["start"]).ok();
        self
    }

    /// What `state` prints; `null` when it fails.
    pub fn state(&self) -> Value {
        serde_json::from_str(&self.of(&["state"]).stdout).unwrap_or_default()
    }

    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or("none").to_owned()
    }

    /// The status, once it is `wanted`; after ten seconds the one that it stayed at.
    pub fn becomes(&self, wanted: &str) -> String {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let status = self.status();
            if status == wanted || Instant::now() > until {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The file's content, once it is there and not empty; what there is after ten seconds.
    pub fn appears(&self, path: &PathBuf) -> String {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if !text.is_empty() || Instant::now() > until {
                return text;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What a cgroup v1 file of the container says, without the newline.
    pub fn cgroup(&self, controller: &str, file: &str) -> String {
        let path = self.bundle.config["linux"]["cgroupsPath"].as_str().unwrap_or_default().to_owned();
        let text = std::fs::read_to_string(format!("/sys/fs/cgroup/{controller}{path}/{file}"));
        text.map_or_else(|error| error.kind().to_string(), |text| text.trim_end().to_owned())
    }

    /// The runtime on a terminal of 33 × 77, as a person at a shell would call it. No argument may contain a quote.
    pub fn on_terminal(&self, args: &[&str]) -> Output {
        let mut inner = self.runtime.command(&self.scratch);
        inner.args(args);
        let words: Vec<String> = std::iter::once(inner.get_program())
            .chain(inner.get_args())
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let mut script: Command = self.scratch.command("script");
        script.args(["-qec", &format!("stty rows 33 cols 77; {}", words.join(" ")), "/dev/null"]);
        let mut output = self.ended(&mut script);
        output.stdout = output.stdout.replace('\r', "").replace("^@", "");
        output
    }

    /// Deletes the container whatever its state, and says what is then left of it.
    pub fn leftovers(&self) -> Vec<String> {
        drop(self.of(&["delete", "--force"]));
        // The parent of the containers' cgroups is nobody's. One with children cannot be removed and is seen below.
        for cgroup in leak::cgroups_with(&self.scratch.cgroup_prefix()) {
            if cgroup.ends_with(&self.scratch.cgroup_prefix()) {
                drop(std::fs::remove_dir(cgroup));
            }
        }
        self.scratch.lasting()
    }
}
