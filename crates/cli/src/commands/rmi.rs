//! `plim rmi`: remove images.

use crate::Outcome;
use crate::client::{Client, call};
use crate::output::line;
use crate::subject::unknown;
use plimsoll_proto::cri;
use std::process::ExitCode;

/// Remove images, each with all its tags
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  plim rmi localhost:5000/busybox:1\n  plim rmi $(plim images -q)")]
pub(crate) struct Args {
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

pub(crate) async fn run(client: &Client, args: Args) -> Outcome {
    for name in &args.images {
        // CRI's RemoveImage succeeds for what is not there; a person who mistyped wants to know.
        if client.image_status(name, false).await?.image.is_none() {
            return Err(unknown("image", name));
        }
        let image = Some(cri::ImageSpec { image: name.clone(), ..Default::default() });
        call!(client.images(), remove_image, "RemoveImage", cri::RemoveImageRequest { image })?;
        line(name)?;
    }
    Ok(ExitCode::SUCCESS)
}
