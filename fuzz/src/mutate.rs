//! Bytes as decisions: numbers, choices, and changes of a JSON value that keep it JSON.

use serde_json::{Value, json};

/// Reads decisions from bytes; zeros when they are used up.
pub struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Source(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (usize::from(self.byte()) << 8 | usize::from(self.byte())) % bound.max(1)
    }

    pub fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// A short text of what is likely to matter.
    pub fn text(&mut self) -> String {
        let parts = [
            "a",
            "/",
            "..",
            ".",
            "proc",
            "\0",
            "ü",
            ":",
            "=",
            "SCMP_ACT_",
            "RLIMIT_NOFILE",
            "CAP_KILL",
            "bind",
            "ro",
            "0",
            "-1",
            " ",
        ];
        let count = self.below(6);
        (0..count).map(|_| self.of(&parts)).collect()
    }
}

/// Changes up to eight places of a value.
pub fn json_value(mut value: Value, source: &mut Source) -> Value {
    for _ in 0..8 {
        if source.is_empty() {
            break;
        }
        let count = nodes(&value);
        let at = source.below(count);
        let whole = value.clone();
        change(&mut value, at, &mut 0, &whole, source);
    }
    value
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(nodes).sum(),
        Value::Object(map) => map.values().map(nodes).sum(),
        _ => 0,
    }
}

fn change(value: &mut Value, at: usize, seen: &mut usize, whole: &Value, source: &mut Source) {
    if *seen == at {
        *seen += 1;
        *value = replacement(value, whole, source);
        return;
    }
    *seen += 1;
    match value {
        Value::Array(list) => list.iter_mut().for_each(|child| change(child, at, seen, whole, source)),
        Value::Object(map) => map.values_mut().for_each(|child| change(child, at, seen, whole, source)),
        _ => {}
    }
}

fn replacement(old: &Value, whole: &Value, source: &mut Source) -> Value {
    match source.below(12) {
        0 => Value::Null,
        1 => json!(-1),
        2 => json!(u64::MAX),
        3 => json!(""),
        4 => json!([]),
        5 => json!({}),
        6 => json!(true),
        7 => json!([old, old]),
        8 => json!(source.text()),
        9 => json!(i64::from(source.byte()) - 3),
        10 => json!("x".repeat(source.below(9000))),
        _ => {
            whole.get(source.of(&["process", "mounts", "linux", "root", "hooks", "user"])).cloned().unwrap_or_default()
        }
    }
}
