//! `plim pull`: an image into the store, with progress by layer where the runtime can tell.

use crate::Outcome;
use crate::client::{Client, call};
use crate::credentials;
use crate::failure::from_status;
use crate::output::progress::{Progress, spinner};
use crate::output::{Format, json, line, print_json};
use plimsoll_fault::{Fault, Layer, Result};
use plimsoll_proto::admin::{self, Auth, pull_progress::Step};
use plimsoll_proto::cri;
use std::process::ExitCode;
use tonic::Code;

/// Pull images
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  plim pull docker.io/library/busybox:latest\n  plim pull --creds me:secret registry.example.com/app:1"
)]
pub(crate) struct Args {
    /// USER:PASSWORD for the registry; not kept [default: what docker or podman have stored for it]
    #[arg(long, value_name = "USER:PASSWORD", value_parser = parse_credentials)]
    creds: Option<Auth>,
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

fn parse_credentials(text: &str) -> std::result::Result<Auth, String> {
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() => {
            Ok(Auth { username: user.to_owned(), password: password.to_owned(), ..Default::default() })
        }
        // The value is a secret in part: it is not repeated.
        _ => Err("want USER:PASSWORD".to_owned()),
    }
}

pub(crate) async fn run(client: &Client, args: Args, format: Format) -> Outcome {
    for reference in &args.images {
        let pulled = pull(client, reference, args.creds.as_ref(), format).await?;
        if format == Format::Json {
            print_json(&json("PullImageResponse", &cri::PullImageResponse { image_ref: pulled })?)?;
        } else {
            line(&pulled)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Pulls `reference` and answers the image's stable name.
pub(crate) async fn pull(client: &Client, reference: &str, given: Option<&Auth>, format: Format) -> Result<String> {
    let auth = match given {
        Some(auth) => Some(auth.clone()),
        None => credentials::stored(reference)?,
    };
    let request = admin::PullRequest { reference: reference.to_owned(), auth: auth.clone(), namespace: String::new() };
    match client.admin().pull(request).await {
        Ok(answer) => follow(answer.into_inner(), format).await,
        Err(status) if status.code() == Code::Unimplemented => over_cri(client, reference, auth, format).await,
        Err(status) => Err(from_status("Pull", &status)),
    }
}

async fn follow(mut stream: tonic::Streaming<admin::PullProgress>, format: Format) -> Result<String> {
    let mut progress = Progress::new(format);
    while let Some(message) = stream.message().await.map_err(|status| from_status("Pull", &status))? {
        match message.step {
            Some(Step::Resolved(resolved)) => progress.resolved(&resolved),
            Some(Step::Layer(layer)) => progress.layer(&layer),
            Some(Step::Done(done)) => return Ok(done.image_ref),
            None => {}
        }
    }
    Err(Fault::new(Layer::Daemon, "pull", "the daemon ended the pull without saying how it went"))
}

async fn over_cri(client: &Client, reference: &str, auth: Option<Auth>, format: Format) -> Result<String> {
    let wait = match format {
        Format::Table => {
            let text = format!("pulling {reference} (this runtime tells no progress: it has no admin contract)");
            let bar = spinner(text.clone());
            if bar.is_none() {
                eprintln!("{text}");
            }
            bar
        }
        Format::Json => None,
    };
    let auth = auth.map(|auth| cri::AuthConfig {
        username: auth.username,
        password: auth.password,
        identity_token: auth.identity_token,
        registry_token: auth.registry_token,
        ..Default::default()
    });
    let image = Some(cri::ImageSpec { image: reference.to_owned(), ..Default::default() });
    let request = cri::PullImageRequest { image, auth, sandbox_config: None };
    let answer = call!(client.images(), pull_image, "PullImage", request);
    if let Some(bar) = wait {
        bar.finish_and_clear();
    }
    Ok(answer?.image_ref)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_credential_is_not_repeated() {
        let error = parse_credentials("topsecret").expect_err("bad");
        assert!(!error.contains("topsecret"));
        assert_eq!(parse_credentials("me:a:b").ok().map(|c| c.password).as_deref(), Some("a:b"));
    }
}
