//! Registry credentials that the user has stored for other tools: the files of docker and podman, and their helper programs.
//! They are read with plim's rights and sent with one pull; nothing is stored.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plimsoll_fault::{Fault, Layer, Result};
use plimsoll_proto::admin::Auth;
use plimsoll_spec::reference::Reference;
use serde::Deserialize;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file with more than this holds no credentials that a person wrote.
const FILE_LIMIT: u64 = 1 << 20;
/// docker.io's entry has this historical name.
const DOCKER_IO: &str = "https://index.docker.io/v1/";
/// The user name by which helpers say that the secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// The two tools' file, as far as it is about credentials.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Stored {
    auths: HashMap<String, Entry>,
    #[serde(rename = "credHelpers")]
    helpers: HashMap<String, String>,
    #[serde(rename = "credsStore")]
    store: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    /// base64 of user:password.
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// A helper program's answer.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// What is stored for the registry of `reference`, from the first file that has something. No file is no failure; a file that
/// cannot be read or parsed is.
pub(crate) fn stored(reference: &str) -> Result<Option<Auth>> {
    let Ok(parsed) = reference.parse::<Reference>() else {
        // The daemon refuses it in better words.
        return Ok(None);
    };
    for path in files(|name| std::env::var_os(name).filter(|value| !value.is_empty())) {
        if let Some(auth) = in_file(&path, parsed.domain())? {
            return Ok(Some(auth));
        }
    }
    Ok(None)
}

fn files(lookup: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let below = |variable: &str, rest: &str| lookup(variable).map(|folder| Path::new(&folder).join(rest));
    let docker = below("DOCKER_CONFIG", "config.json").or_else(|| below("HOME", ".docker/config.json"));
    let all =
        [lookup("REGISTRY_AUTH_FILE").map(PathBuf::from), below("XDG_RUNTIME_DIR", "containers/auth.json"), docker];
    all.into_iter().flatten().collect()
}

fn in_file(path: &Path, host: &str) -> Result<Option<Auth>> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        let what = format!("cannot read the credentials in {}", path.display());
        Fault::new(Layer::Caller, "credentials", what).because(error)
    };
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(FILE_LIMIT).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    }
    let stored: Stored = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    let keys = keys(host);
    if let Some(helper) = keys.iter().find_map(|key| stored.helpers.get(key)) {
        return ask(helper, &keys);
    }
    if let Some(auth) = keys.iter().find_map(|key| stored.auths.get(key)).and_then(auth_of) {
        return Ok(Some(auth));
    }
    if stored.store.is_empty() { Ok(None) } else { ask(&stored.store, &keys) }
}

/// The names under which tools store credentials of `host`.
fn keys(host: &str) -> Vec<String> {
    let mut keys = vec![host.to_owned(), format!("https://{host}"), format!("http://{host}")];
    if host == "docker.io" {
        keys.push(DOCKER_IO.to_owned());
    }
    keys
}

fn auth_of(entry: &Entry) -> Option<Auth> {
    if !entry.identitytoken.is_empty() {
        return Some(Auth { identity_token: entry.identitytoken.clone(), ..Default::default() });
    }
    if !entry.username.is_empty() {
        return Some(Auth { username: entry.username.clone(), password: entry.password.clone(), ..Default::default() });
    }
    let bytes = STANDARD.decode(entry.auth.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    Some(Auth { username: username.to_owned(), password: password.to_owned(), ..Default::default() })
}

/// Asks `docker-credential-NAME get` for each key; a helper that has nothing fails, which is an answer.
fn ask(name: &str, keys: &[String]) -> Result<Option<Auth>> {
    if name.contains('/') {
        return Err(Fault::invalid("credentials", format!("credential helper {name:?} is a path, not a name")));
    }
    let program = format!("docker-credential-{name}");
    for key in keys {
        let answer = get(&program, key).map_err(|error| {
            Fault::new(Layer::Caller, "credentials", format!("cannot run {program}")).because(&error)
        })?;
        if let Some(answer) = answer {
            return Ok(Some(if answer.username == TOKEN_USER {
                Auth { identity_token: answer.secret, ..Default::default() }
            } else {
                Auth { username: answer.username, password: answer.secret, ..Default::default() }
            }));
        }
    }
    Ok(None)
}

fn get(program: &str, key: &str) -> io::Result<Option<Answer>> {
    let mut command = Command::new(program);
    let mut child = command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(key.as_bytes())?;
    }
    let mut text = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(FILE_LIMIT).read_to_end(&mut text)?;
    }
    let status = child.wait()?;
    Ok(if status.success() { serde_json::from_slice(&text).ok() } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, host: &str) -> Option<(String, String)> {
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), text).expect("written");
        in_file(file.path(), host).expect("read").map(|auth| (auth.username + &auth.identity_token, auth.password))
    }

    #[test]
    fn entries_are_found_under_every_name() {
        let text = r#"{"auths":{"r:5000":{"auth":"dTpwOng="},"https://s":{"username":"a","password":"b"},
            "https://index.docker.io/v1/":{"identitytoken":"t"}},"HttpHeaders":{}}"#;
        assert_eq!(found(text, "r:5000"), Some(("u".into(), "p:x".into())));
        assert_eq!(found(text, "s"), Some(("a".into(), "b".into())));
        assert_eq!(found(text, "docker.io"), Some(("t".into(), String::new())));
        assert_eq!(found(text, "other"), None);
    }

    #[test]
    fn files_come_in_the_order_of_the_tools() {
        let lookup = |name: &str| (name != "DOCKER_CONFIG").then(|| OsString::from("/x"));
        let names: Vec<_> = files(lookup).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(names, ["/x", "/x/containers/auth.json", "/x/.docker/config.json"]);
    }

    #[test]
    fn a_broken_file_is_told_and_a_missing_one_is_not() {
        assert!(in_file(Path::new("/no/such/file"), "r").expect("nothing").is_none());
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "{").expect("written");
        let fault = in_file(file.path(), "r").expect_err("fault");
        assert!(fault.to_string().contains("cannot read the credentials in"), "{fault}");
    }

    #[test]
    fn a_helper_that_is_a_path_is_refused() {
        assert!(ask("../evil", &["r".to_owned()]).is_err());
    }
}
