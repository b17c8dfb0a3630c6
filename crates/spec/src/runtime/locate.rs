//! The JSON pointer of the value at which a parser stopped. serde_json says the line and column; deserializing again with a
//! recorded path, as others do, would double the code of every type.

/// RFC 6901 pointer of the innermost value that ends or is being read at `line` and `column` (both as serde_json counts them:
/// from 1, and bytes consumed of the line). Empty at the top of the document, or when the text does not reach that far.
pub(super) fn pointer(text: &[u8], line: usize, column: usize) -> String {
    let start = match line.checked_sub(2) {
        Some(skipped) => text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(skipped).map(|(at, _)| at + 1),
        None => Some(0),
    };
    start.map_or_else(String::new, |start| walk(text, start + column))
}

/// A container on the way down, and which of its members is being read.
enum Frame {
    Object(Option<String>),
    Array(usize),
}

/// Reads tokens up to byte `stop`.
fn walk(text: &[u8], stop: usize) -> String {
    let mut stack: Vec<Frame> = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'{' | b'[' => {
                if at >= stop {
                    break;
                }
                stack.push(if *byte == b'{' { Frame::Object(None) } else { Frame::Array(0) });
                at += 1;
            }
            b'}' | b']' => {
                at += 1;
                stack.pop();
                if at >= stop {
                    break;
                }
            }
            b',' => {
                if at >= stop {
                    break;
                }
                at += 1;
                match stack.last_mut() {
                    Some(Frame::Object(key)) => *key = None,
                    Some(Frame::Array(index)) => *index += 1,
                    None => {}
                }
            }
            b':' | b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            _ => {
                let end = token(text, at);
                match stack.last_mut() {
                    Some(Frame::Object(key @ None)) => *key = serde_json::from_slice(&text[at..end]).ok(),
                    _ if end >= stop => break,
                    _ => {}
                }
                at = end;
            }
        }
    }
    path(&stack)
}

/// The end of the string, number or word that begins at `start`.
fn token(text: &[u8], start: usize) -> usize {
    let rest = &text[start..];
    if rest.first() != Some(&b'"') {
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r');
        return start + rest.iter().position(ends).unwrap_or(rest.len());
    }
    let mut escaped = false;
    for (offset, byte) in rest.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return start + offset + 1,
            _ => {}
        }
    }
    text.len()
}

fn path(stack: &[Frame]) -> String {
    let mut out = String::new();
    for frame in stack {
        match frame {
            Frame::Object(Some(key)) => {
                out.push('/');
                out.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Frame::Array(index) => {
                out.push('/');
                out.push_str(&index.to_string());
            }
            Frame::Object(None) => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only whether it can be read matters")]
    struct Leaf {
        number: u8,
        word: Word,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Yes,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    #[allow(dead_code, reason = "only whether it can be read matters")]
    struct Tree {
        text: String,
        list: Vec<Leaf>,
        map: BTreeMap<String, Vec<u8>>,
        inner: Option<Box<Tree>>,
    }

    fn at(text: &str) -> String {
        let error = serde_json::from_str::<Tree>(text).expect_err("an error");
        assert!(error.is_data(), "{error}");
        pointer(text.as_bytes(), error.line(), error.column())
    }

    #[test]
    fn wrong_types_are_found() {
        assert_eq!(at(r#"{"text": 5}"#), "/text");
        assert_eq!(at(r#"{"text": {"a": 1}, "list": []}"#), "/text");
        assert_eq!(at(r#"{"text": "a", "list": [ ], "inner": {"text": [1]}}"#), "/inner/text");
        assert_eq!(at("{\n \"text\": \"\\\"}\",\n \"map\": {\"a/b~\": [1, 2,\n  300]}\n}"), "/map/a~1b~0/2");
        assert_eq!(at(r#"{"list": [{"number": 1, "word": "yes"}, {"number": -1, "word": "yes"}]}"#), "/list/1/number");
        assert_eq!(at(r#"{"list": [{"number": 1, "word": "no"}]}"#), "/list/0/word");
        assert_eq!(at(r#"{"list": [{"number": true, "word": "yes"}]}"#), "/list/0/number");
        assert_eq!(at(r#"{"list": 1.5e3 }"#), "/list");
        assert_eq!(at("7"), "");
    }

    #[test]
    fn a_missing_field_is_its_objects() {
        assert_eq!(at(r#"{"list": [{"number": 1, "word": "yes"}, {"number": 2}]}"#), "/list/1");
        assert_eq!(at(r#"{"inner": {"list": [{}]}, "text": "x"}"#), "/inner/list/0");
    }

    #[test]
    fn no_position_leads_out_of_the_text() {
        let text = br#"{"a": [1, {"b": "c\u0041"}, null], "d"#;
        for line in 0..3 {
            for column in 0..60 {
                pointer(text, line, column);
            }
        }
    }
}
