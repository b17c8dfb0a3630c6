//! ADD: attaches a pod to the network, with the ledger written first.

use crate::exec::{Call, find, run};
use crate::network::{Network, Pod};
use crate::{Entry, Stage, cache, input};
use plimsoll_fault::{Fault, Layer, Result};
use plimsoll_spec::cni::{self, NetworkList, Plugin, is_container_id};
use serde_json::Value;
use std::net::IpAddr;

/// What the plugins made.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    pub network: String,
    /// The first is the pod's primary address. Never empty: a pod that nobody can reach is a failure of its network.
    pub ips: Vec<IpAddr>,
    pub interfaces: Vec<cni::Interface>,
    /// The last plugin's answer.
    pub result: Value,
}

const INTERFACE: &str = "eth0";

impl Network {
    /// Calls ADD of each plugin in order. After a failure the caller calls [`Network::teardown`], which undoes whatever
    /// part was done.
    pub async fn setup(&self, pod: &Pod) -> Result<Attachment> {
        if !is_container_id(&pod.sandbox) {
            return Err(Fault::invalid("cni-add", format!("sandbox id {:?} is no CNI container id", pod.sandbox)));
        }
        let list = self.status()?;
        let mut entry = entry(&list, pod);
        if let Some((key, value)) = entry.args.iter().find(|(_, value)| value.contains([';', '\0'])) {
            // CNI_ARGS has no quoting: such a value would set other arguments.
            return Err(Fault::invalid("cni-add", format!("{key} {value:?} cannot be told to CNI plugins")));
        }
        // Looked up before anything is recorded: a network whose plugin is missing was never set up.
        for plugin in &list.plugins {
            find(&plugin.kind, &self.options.bin_dirs)?;
        }
        self.ledger.record(&entry)?;
        let mut previous = None;
        for plugin in &list.plugins {
            previous = Some(self.add(&entry, plugin, previous.as_ref()).await?);
        }
        entry.result = previous;
        entry.stage = Stage::Added;
        self.ledger.record(&entry)?;
        cache::write(&self.options.cache_dir, &entry)?;
        attachment(&list, &entry)
    }

    async fn add(&self, entry: &Entry, plugin: &Plugin, previous: Option<&Value>) -> Result<Value> {
        let stdin = input::stdin(entry, plugin, previous);
        let out = run(self.call("ADD", entry, plugin, stdin)).await?;
        let garbage = |e: &dyn std::error::Error| {
            let what = format!("CNI plugin {:?} ADD for network {:?}: {e}", plugin.kind, entry.network);
            Fault::new(Layer::Network, "cni-add", what).in_pod(&entry.sandbox)
        };
        cni::Result::parse(&out).map_err(|e| garbage(&e))?;
        serde_json::from_slice(&out).map_err(|e| garbage(&e))
    }

    pub(crate) fn call<'a>(
        &'a self,
        verb: &'static str,
        entry: &'a Entry,
        plugin: &'a Plugin,
        stdin: Vec<u8>,
    ) -> Call<'a> {
        let options = &self.options;
        Call { verb, kind: &plugin.kind, bin_dirs: &options.bin_dirs, entry, stdin, deadline: options.deadline }
    }
}

fn entry(list: &NetworkList, pod: &Pod) -> Entry {
    Entry {
        sandbox: pod.sandbox.clone(),
        netns: pod.netns.clone(),
        interface: INTERFACE.to_owned(),
        stage: Stage::Adding,
        network: list.name.clone(),
        version: list.version.clone(),
        disable_check: list.disable_check,
        plugins: list.plugins.iter().map(|p| Value::Object(p.body.clone())).collect(),
        args: input::args(pod),
        capabilities: input::capabilities(pod),
        result: None,
    }
}

fn attachment(list: &NetworkList, entry: &Entry) -> Result<Attachment> {
    let fault = |what: &str| {
        Fault::new(Layer::Network, "cni-add", format!("network {:?}: {what}", list.name)).in_pod(&entry.sandbox)
    };
    let result = entry.result.clone().ok_or_else(|| fault("no plugin answered"))?;
    let parsed = cni::Result::parse(result.to_string().as_bytes()).map_err(|e| fault("bad result").because(&e))?;
    let ips = parsed.pod_ips();
    if ips.is_empty() {
        return Err(fault("the plugins gave the pod no address"));
    }
    Ok(Attachment { network: list.name.clone(), ips, interfaces: parsed.interfaces, result })
}
