//! The only way to make a `config.json`: setters that take a JSON pointer, a value and its origin. What an image says can
//! reach no control field, because the setter refuses it (ARCHITECTURE, invariant 5; CVE-2026-53488 is what that prevents).

use super::Origin;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The only places where an image's config may speak: what to run, as whom, where, with which variables.
const OPEN_TO_IMAGES: [&str; 4] = ["/process/args", "/process/env", "/process/cwd", "/process/user"];

/// Collects values and origins. Arrays with identities (mounts by destination, variables by name) are kept keyed until
/// [`Builder::finish`], so that a later setter replaces an earlier one.
#[derive(Debug, Default)]
pub struct Builder {
    fields: BTreeMap<String, (Value, Origin)>,
    lists: BTreeMap<String, Vec<Item>>,
}

#[derive(Debug)]
struct Item {
    key: String,
    value: Value,
    origin: Origin,
}

/// A finished spec: both files' bytes.
#[derive(Clone, Debug)]
pub struct Finished {
    pub config: Value,
    /// JSON pointer to origin; for a pointer that is not there, its nearest ancestor counts.
    pub provenance: BTreeMap<String, Origin>,
}

impl Builder {
    /// Sets the value at `pointer` (RFC 6901), replacing an earlier one.
    pub fn set(&mut self, pointer: &str, value: impl Serialize, origin: Origin) -> Result<()> {
        let value = checked(pointer, value, &origin)?;
        self.fields.insert(pointer.to_owned(), (value, origin));
        Ok(())
    }

    /// Forgets what was set at `pointer`.
    pub fn unset(&mut self, pointer: &str) {
        self.fields.remove(pointer);
    }

    /// Appends to the array at `pointer`, or replaces the element with the same `key` in its place.
    pub fn put(&mut self, pointer: &str, key: &str, value: impl Serialize, origin: Origin) -> Result<()> {
        let value = checked(pointer, value, &origin)?;
        let list = self.lists.entry(pointer.to_owned()).or_default();
        let item = Item { key: key.to_owned(), value, origin };
        match list.iter_mut().find(|old| old.key == key) {
            Some(old) => *old = item,
            None => list.push(item),
        }
        Ok(())
    }

    /// Removes the elements of the array at `pointer` whose key does not satisfy `keep`.
    pub fn retain(&mut self, pointer: &str, keep: impl Fn(&str) -> bool) {
        if let Some(list) = self.lists.get_mut(pointer) {
            list.retain(|item| keep(&item.key));
        }
    }

    pub fn has(&self, pointer: &str, key: &str) -> bool {
        self.lists.get(pointer).is_some_and(|list| list.iter().any(|item| item.key == key))
    }

    /// Orders the array at `pointer` by `rank` of its keys; equal ones keep their order.
    pub fn sort(&mut self, pointer: &str, rank: impl Fn(&str) -> usize) {
        if let Some(list) = self.lists.get_mut(pointer) {
            list.sort_by_key(|item| rank(&item.key));
        }
    }

    /// Writes the tree. Parents are set before what lies in them, because a pointer sorts before its extensions.
    pub fn finish(self) -> Result<Finished> {
        let mut config = Value::Object(Map::new());
        let mut provenance = BTreeMap::new();
        for (pointer, (value, origin)) in self.fields {
            insert(&mut config, &pointer, value)?;
            provenance.insert(pointer, origin);
        }
        for (pointer, list) in self.lists {
            let mut values = Vec::with_capacity(list.len());
            for (index, item) in list.into_iter().enumerate() {
                provenance.insert(format!("{pointer}/{index}"), item.origin);
                values.push(item.value);
            }
            insert(&mut config, &pointer, Value::Array(values))?;
        }
        Ok(Finished { config, provenance })
    }
}

impl Finished {
    /// The origin of the value at `pointer`: its own or its nearest ancestor's.
    pub fn origin(&self, pointer: &str) -> Option<&Origin> {
        let mut at = pointer;
        loop {
            if let Some(origin) = self.provenance.get(at) {
                return Some(origin);
            }
            at = &at[..at.rfind('/')?];
        }
    }

    /// Pointers of leaves without an origin. Always empty; asked by tests.
    pub fn unowned(&self) -> Vec<String> {
        let mut found = Vec::new();
        leaves(&self.config, String::new(), &mut |pointer| {
            if self.origin(&pointer).is_none() {
                found.push(pointer);
            }
        });
        found
    }
}

/// Escapes one token of a pointer.
pub fn token(text: &str) -> String {
    text.replace('~', "~0").replace('/', "~1")
}

fn checked(pointer: &str, value: impl Serialize, origin: &Origin) -> Result<Value> {
    let below = |root: &str| pointer.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if matches!(origin, Origin::Image { .. }) && !OPEN_TO_IMAGES.iter().any(|root| below(root)) {
        return Err(fault(pointer, format!("an image may not set {pointer}"))
            .kind(Kind::PermissionDenied)
            .detail(|d| d.origin = Some(origin.to_string())));
    }
    serde_json::to_value(value).map_err(|e| fault(pointer, format!("the value of {pointer} is no JSON")).because(&e))
}

fn insert(config: &mut Value, pointer: &str, value: Value) -> Result<()> {
    let mut at = config;
    for part in pointer.split('/').skip(1) {
        let Value::Object(fields) = at else {
            return Err(fault(pointer, format!("{pointer} lies in a value that is no object")));
        };
        let name = part.replace("~1", "/").replace("~0", "~");
        at = fields.entry(name).or_insert_with(|| Value::Object(Map::new()));
    }
    *at = value;
    Ok(())
}

fn leaves(value: &Value, pointer: String, visit: &mut impl FnMut(String)) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, inner)| leaves(inner, format!("{pointer}/{}", token(name)), visit));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(i, inner)| leaves(inner, format!("{pointer}/{i}"), visit));
        }
        _ => visit(pointer),
    }
}

fn fault(pointer: &str, what: String) -> Fault {
    Fault::new(Layer::Spec, "assemble", what).detail(|d| d.pointer = Some(pointer.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_image_reaches_only_what_is_open_to_it() {
        let mut spec = Builder::default();
        spec.set("/process/args", ["sh"], Origin::image("Cmd")).expect("open");
        spec.put("/process/env", "A", "A=b", Origin::image("Env")).expect("open");
        for control in ["/hooks", "/annotations/x", "/linux/cgroupsPath", "/process/argsx", "/mounts", "/process"] {
            let fault = spec.set(control, "x", Origin::image("Labels")).expect_err(control);
            assert_eq!((fault.layer(), fault.class()), (&Layer::Spec, Kind::PermissionDenied));
            spec.put(control, "x", "x", Origin::image("Labels")).expect_err(control);
        }
    }

    #[test]
    fn later_values_replace_earlier_ones_and_carry_their_origin() {
        let mut spec = Builder::default();
        spec.put("/process/env", "PATH", "PATH=/bin", Origin::default("path")).expect("put");
        spec.put("/process/env", "B", "B=1", Origin::image("Env")).expect("put");
        spec.put("/process/env", "PATH", "PATH=/sbin", Origin::request("envs")).expect("put");
        spec.set("/annotations/a~1b", "x", Origin::default("id")).expect("set");
        let done = spec.finish().expect("finishes");
        assert_eq!(done.config, json!({"process": {"env": ["PATH=/sbin", "B=1"]}, "annotations": {"a/b": "x"}}));
        assert_eq!(done.origin("/process/env/0"), Some(&Origin::request("envs")));
        assert_eq!(done.origin("/process/env/1"), Some(&Origin::image("Env")));
        assert_eq!(done.origin("/process"), None);
        assert!(done.unowned().is_empty());
    }

    #[test]
    fn the_deepest_origin_wins() {
        let mut spec = Builder::default();
        spec.set("/linux", json!({"resources": {"cpu": {"shares": 2}}}), Origin::default("base")).expect("set");
        spec.set("/linux/resources/cpu/shares", 4, Origin::request("cpu")).expect("set");
        let done = spec.finish().expect("finishes");
        assert_eq!(done.config["linux"]["resources"]["cpu"]["shares"], 4);
        assert_eq!(done.origin("/linux/resources/cpu/shares"), Some(&Origin::request("cpu")));
        assert_eq!(done.origin("/linux/resources/cpu"), Some(&Origin::default("base")));
    }
}
