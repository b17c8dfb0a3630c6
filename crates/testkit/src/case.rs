//! Ours alone: what a test of plimrun's verbs begins with.

use crate::runtimes::Runtime;
use crate::{Bundle, Output, Scratch, bundle, run, until};
use serde_json::{Value, json};

const OURS: Runtime = Runtime("plimrun");

/// plimrun with one bundle and one container.
#[derive(Debug)]
pub struct Case {
    pub scratch: Scratch,
    pub made: Bundle,
    pub id: String,
}

impl Case {
    /// A busybox bundle whose program is `args`.
    #[must_use]
    pub fn new(args: &[&str]) -> Case {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.args(args);
        let id = scratch.id("c");
        Case { scratch, made, id }
    }

    /// `plimrun` with these arguments, to its end.
    #[track_caller]
    pub fn verb(&self, args: &[&str]) -> Output {
        run(OURS.command(&self.scratch).args(args))
    }

    /// `create`, with output to files: the init keeps them open.
    #[track_caller]
    pub fn create(&self) -> Output {
        self.create_with(&[])
    }

    /// `create` with more flags.
    #[track_caller]
    pub fn create_with(&self, more: &[&str]) -> Output {
        let bundle = self.made.path.to_string_lossy().into_owned();
        let mut args = vec!["create", "--bundle", &bundle];
        args.extend(more);
        args.push(&self.id);
        self.verb(&args)
    }

    /// `run`, to the container's end.
    #[track_caller]
    pub fn run(&self) -> Output {
        OURS.run(&self.scratch, &self.made)
    }

    /// What `state` says.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn status(&self) -> String {
        let state: Value = serde_json::from_str(&self.verb(&["state", &self.id]).ok()).expect("state is JSON");
        state["status"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the container has this status.
    ///
    /// # Panics
    /// When it never has.
    #[track_caller]
    pub fn wait_for(&self, status: &str) {
        until(status, || self.status() == status);
    }

    /// The one hook of `list`: a shell script, with more of its fields.
    pub fn hook(&mut self, list: &str, script: &str, more: Value) {
        let mut hook = json!({ "path": "/bin/sh", "args": ["hook", "-c", script] });
        if let (Some(hook), Value::Object(more)) = (hook.as_object_mut(), more) {
            hook.extend(more);
        }
        if self.made.config.get("hooks").is_none() {
            self.made.set("/hooks", json!({}));
        }
        self.made.set(&format!("/hooks/{list}"), json!([hook]));
    }

    /// No state, cgroup, mount or process of this test.
    ///
    /// # Panics
    /// When there is one.
    #[track_caller]
    pub fn nothing_is_left(&self) {
        let states: Vec<_> = std::fs::read_dir(self.scratch.dir("root-plimrun")).expect("the root").collect();
        assert!(states.is_empty(), "{states:?}");
        assert_eq!(self.scratch.leftovers(), Vec::<String>::new());
    }
}
