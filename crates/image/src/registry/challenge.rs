//! `WWW-Authenticate` (RFC 9110 §11.6.1): one header may hold several challenges, each with quoted parameters.

use std::collections::BTreeMap;

/// One challenge: lower-case scheme, lower-case parameter names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) scheme: String,
    pub(super) parameters: BTreeMap<String, String>,
}

/// Reads a header's value; what cannot be read ends it.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header.trim_start();
    while !rest.is_empty() {
        let (word, after) = token(rest);
        if word.is_empty() {
            break;
        }
        match (after.trim_start().strip_prefix('='), challenges.last_mut()) {
            // `name=value` belongs to the challenge before it.
            (Some(value), Some(challenge)) => {
                let Some((value, after)) = parameter(value.trim_start()) else { break };
                challenge.parameters.insert(word.to_ascii_lowercase(), value);
                rest = after;
            }
            (Some(_), None) => break,
            (None, _) => {
                challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: BTreeMap::new() });
                rest = after;
            }
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    challenges
}

fn token(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_whitespace() || c == ',' || c == '=' || c == '"').unwrap_or(text.len());
    text.split_at(end)
}

/// A token or a quoted string with backslash escapes, and what is behind it.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, rest) = token(text);
        return Some((word.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_and_several_challenges() {
        let found =
            parse(r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a:b:pull,push""#);
        assert_eq!(found[0].scheme, "bearer");
        assert_eq!(found[0].parameters["scope"], "a:b:pull,push");
        let two = parse(r#"Basic realm="x, \"y\"", Bearer realm=z , error="insufficient_scope""#);
        assert_eq!((two.len(), two[0].parameters["realm"].as_str()), (2, "x, \"y\""));
        assert_eq!(two[1].parameters["realm"], "z");
    }

    #[test]
    fn nonsense_ends_quietly() {
        for text in ["", "=", "\"", "Bearer realm=\"open", ",,,", "a=b", "Bearer =x"] {
            parse(text);
        }
        assert_eq!(parse("Basic").len(), 1);
    }
}
