//! `config.json` leaf by leaf, each with the origin that provenance gives it: the deepest pointer that covers it wins.

use serde_json::Value;

#[derive(Clone)]
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

    /// In words, such as `image Env` or `default namespaces`.
    pub(crate) fn origin_text(&self) -> String {
        words(&self.origin)
    }
}

/// The keys of an origin in the order in which they read well; what a newer daemon adds comes after them.
const ORDER: [&str; 6] = ["kind", "name", "key", "field", "fact", "client"];

fn words(origin: &Value) -> String {
    match origin {
        Value::Null => "?".to_owned(),
        // What CRI asks for, the pod's author has written.
        Value::String(text) if text == "request" => "pod".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            let known = ORDER.iter().filter_map(|key| map.get(*key));
            let more = map.iter().filter(|(key, _)| !ORDER.contains(&key.as_str())).map(|(_, value)| value);
            known.chain(more).map(words).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// Long lists of one origin as one row, for people: a seccomp profile has hundreds of names.
pub(crate) fn folded(rows: Vec<Row>) -> Vec<Row> {
    let mut folded: Vec<Row> = Vec::with_capacity(rows.len());
    for group in rows.chunk_by(same_list) {
        let parent = group[0].pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        if group.len() <= LIST_LIMIT {
            folded.extend(group.iter().cloned());
            continue;
        }
        folded.push(Row {
            pointer: format!("{parent}/*"),
            value: Value::String(format!("{} values", group.len())),
            origin: group[0].origin.clone(),
        });
    }
    folded
}

/// Longer lists are folded.
const LIST_LIMIT: usize = 16;

/// Elements of one array, of one origin.
fn same_list(one: &Row, other: &Row) -> bool {
    let split =
        |row: &Row| row.pointer.rsplit_once('/').map(|(list, index)| (list.to_owned(), index.parse::<usize>().is_ok()));
    split(one) == split(other) && split(one).is_some_and(|(_, element)| element) && one.origin == other.origin
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
        let provenance = json!({
            "/process": {"name": "built-in", "kind": "default"},
            "/process/args/1": {"field": "cmd", "kind": "request"}, "/a~1b": "x"
        });
        let text: Vec<_> =
            rows(&spec, &provenance).iter().map(|r| format!("{} {}", r.pointer, r.origin_text())).collect();
        assert_eq!(
            text,
            [
                "/a~1b x",
                "/process/args/0 default built-in",
                "/process/args/1 pod cmd",
                "/process/cwd default built-in",
                "/root ?"
            ]
        );
    }

    #[test]
    fn long_lists_of_one_origin_are_one_row() {
        let names: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        let spec = json!({"names": names, "short": ["a", "b"]});
        let rows = folded(rows(&spec, &json!({"": {"kind": "default"}})));
        let text: Vec<_> = rows.iter().map(|r| format!("{} {}", r.pointer, r.short_value())).collect();
        assert_eq!(text, ["/names/* \"100 values\"", "/short/0 \"a\"", "/short/1 \"b\""]);
    }

    #[test]
    fn long_values_are_cut() {
        let row = Row { pointer: String::new(), value: json!("x".repeat(100)), origin: Value::Null };
        assert_eq!(row.short_value().chars().count(), VALUE_WIDTH);
    }
}
