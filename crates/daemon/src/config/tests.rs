use super::load::parse;
use super::*;
use std::path::Path;

fn parsed(text: &str) -> Result<Config, String> {
    parse(text, Path::new("c.toml")).map_err(|fault| fault.to_string())
}

fn refused(text: &str) -> String {
    parsed(text).expect_err("must be refused")
}

fn keys(table: &toml::Table, prefix: &str, into: &mut Vec<String>) {
    for (key, value) in table {
        let path = format!("{prefix}{key}");
        if let toml::Value::Table(inner) = value {
            keys(inner, &format!("{path}."), into);
        } else {
            into.push(path);
        }
    }
}

#[test]
fn the_printed_default_is_the_default() {
    assert_eq!(parsed(DEFAULT_TEXT).expect("parses"), Config::default());
    assert_eq!(parsed("").expect("parses"), Config::default());
}

#[test]
fn every_key_is_documented() {
    let everything: String = DEFAULT_TEXT
        .lines()
        .map(|l| if l.starts_with("# ") || l == "#" { l } else { l.trim_start_matches('#') })
        .fold(String::new(), |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        });
    let full = parsed(&everything).expect("the examples parse");
    let (mut written, mut known) = (Vec::new(), Vec::new());
    keys(&everything.parse().expect("toml"), "", &mut written);
    keys(&toml::Table::try_from(&full).expect("serialises"), "", &mut known);
    written.sort();
    known.sort();
    assert_eq!(written, known);
}

#[test]
fn an_unknown_key_is_named_with_file_and_line() {
    let message = refused("root = \"/a\"\n[network]\nconfdir = \"/b\"\n");
    assert!(message.starts_with("daemon: c.toml:3: unknown field `confdir`"), "{message}");
}

#[test]
fn bad_values_are_named_with_their_line() {
    for (text, wants) in [
        ("\nroot = \"var\"", "c.toml:2: `var` is not an absolute path"),
        ("state = \"/a/../b\"", "c.toml:1: `/a/../b` contains `..`"),
        ("[handlers.x]\ntype = \"vm\"", "handler type `vm` is not implemented yet"),
        (
            "[handlers.plimsoll]\ntype = \"shim\"\n[handlers.x]\ntype = \"oci\"",
            "c.toml: handlers.x.type is \"oci\", but there is no handlers.x.path",
        ),
        ("[handlers.X]\ntype = \"shim\"", "`X` is not a handler name"),
        ("[handlers.x]\ntype = \"shim\"\nbinary=\"/x\"", "c.toml:3: unknown field `binary`"),
        ("[log]\nlevel = \"loud\"", "c.toml:2: unknown variant `loud`"),
        ("[runtime]\ncgroup_driver = \"systemd\"", "cgroup driver `systemd` is not implemented yet"),
        ("[runtime]\ncgroup_root = \"/\"", "`/` is not a cgroup below the root"),
        ("[runtime]\ndefault_handler = \"runc\"", "there is no table [handlers.runc]"),
        ("[runtime]\nshim_timeout = 0", "c.toml: runtime.shim_timeout is 0"),
        ("root = 3", "c.toml:1: invalid type"),
        ("root = \"/a\nx", "c.toml:2"),
    ] {
        let message = refused(text);
        assert!(message.contains(wants), "{text:?} gave {message:?}");
    }
}

#[test]
fn the_socket_follows_the_state_folder() {
    let config = parsed("state = \"/tmp/s\"").expect("parses");
    assert_eq!(config.socket_path(), Path::new("/tmp/s/plimsolld.sock"));
}
