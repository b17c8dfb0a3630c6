//! `config.json` leaf by leaf, each with the origin that provenance gives it: the deepest pointer that covers it wins.

use serde_json::Value;

pub(crate) struct Row {
    /// JSON pointer (RFC 6901).
    pub(crate) pointer: String,
    pub(crate) value: Value,
    /// `Null` when provenance does not cover the leaf.
    pub(crate) origin: Value,
}

const VALUE_WIDTH: usize = 48;

impl Row {
    pub(crate) fn short_value(&self) -> String {
        let text = self.value.to_string();
        if text.chars().count() <= VALUE_WIDTH {
            return text;
        }
        text.chars().take(VALUE_WIDTH - 1).chain(['…']).collect()
    }

    /// An object's values in the order of its keys, `kind` first.
    pub(crate) fn origin_text(&self) -> String {
        words(&self.origin)
    }
}

fn words(origin: &Value) -> String {
    match origin {
        Value::Null => "?".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            let kind = map.get("kind").map(words);
            let rest = map.iter().filter(|(key, _)| *key != "kind").map(|(_, value)| words(value));
            kind.into_iter().chain(rest).filter(|word| word != "?" && !word.is_empty()).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

pub(crate) fn rows(spec: &Value, provenance: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    collect(spec, String::new(), &mut rows);
    for row in &mut rows {
        row.origin = deepest(provenance, &row.pointer);
    }
    rows
}

/// Empty objects and arrays are leaves: they are values that somebody chose.
fn collect(value: &Value, pointer: String, rows: &mut Vec<Row>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                let token = key.replace('~', "~0").replace('/', "~1");
                collect(inner, format!("{pointer}/{token}"), rows);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, inner) in items.iter().enumerate() {
                collect(inner, format!("{pointer}/{index}"), rows);
            }
        }
        leaf => rows.push(Row { pointer, value: leaf.clone(), origin: Value::Null }),
    }
}

fn deepest(provenance: &Value, pointer: &str) -> Value {
    let mut end = pointer.len();
    loop {
        if let Some(origin) = provenance.get(&pointer[..end]) {
            return origin.clone();
        }
        match pointer[..end].rfind('/') {
            Some(shorter) => end = shorter,
            None => return Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_deepest_pointer_wins_and_gaps_are_seen() {
        let spec = json!({"process": {"args": ["a", "b"], "cwd": "/"}, "root": {}, "a/b": 1});
        let provenance = json!({"/process": {"kind": "default", "name": "built-in"}, "/process/args/1": "request cmd", "/a~1b": "x"});
        let text: Vec<_> =
            rows(&spec, &provenance).iter().map(|r| format!("{} {}", r.pointer, r.origin_text())).collect();
        assert_eq!(
            text,
            [
                "/a~1b x",
                "/process/args/0 default built-in",
                "/process/args/1 request cmd",
                "/process/cwd default built-in",
                "/root ?"
            ]
        );
    }

    #[test]
    fn long_values_are_cut() {
        let row = Row { pointer: String::new(), value: json!("x".repeat(100)), origin: Value::Null };
        assert_eq!(row.short_value().chars().count(), VALUE_WIDTH);
    }
}
