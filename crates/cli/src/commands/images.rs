//! `plim images`: what is in the image store.

use crate::Outcome;
use crate::client::{Client, call};
use crate::output::{Format, json, line, print_json, short_id, size, table};
use plimsoll_proto::cri::{self, Image};
use std::process::ExitCode;

/// List images
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  plim images\n  plim images --digests\n  plim images -o json")]
pub(crate) struct Args {
    /// Only ids
    #[arg(short, long)]
    quiet: bool,
    /// Also the digests under which they can be pulled again
    #[arg(long)]
    digests: bool,
}

pub(crate) async fn run(client: &Client, args: Args, format: Format) -> Outcome {
    let mut images = call!(client.images(), list_images, "ListImages", cri::ListImagesRequest { filter: None })?.images;
    images.sort_by(|a, b| a.repo_tags.cmp(&b.repo_tags).then_with(|| a.id.cmp(&b.id)));
    if args.quiet {
        images.iter().try_for_each(|image| line(&image.id))?;
    } else if format == Format::Json {
        print_json(&json("ListImagesResponse", &cri::ListImagesResponse { images })?)?;
    } else {
        let headings: &[&str] =
            if args.digests { &["IMAGE", "ID", "SIZE", "DIGEST"] } else { &["IMAGE", "ID", "SIZE"] };
        line(&table(headings, images.iter().flat_map(|image| rows(image, args.digests))))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A row a name; an image without a tag is shown by its digest reference.
fn rows(image: &Image, digests: bool) -> Vec<Vec<String>> {
    let digest = image.repo_digests.first().cloned().unwrap_or_default();
    let mut names = image.repo_tags.clone();
    if names.is_empty() {
        names.push(if digest.is_empty() { "<none>".to_owned() } else { digest.clone() });
    }
    let mut row = |name: String| {
        let mut cells = vec![name, short_id(&image.id), size(image.size)];
        cells.extend(digests.then(|| digest.clone()));
        cells
    };
    names.into_iter().map(&mut row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_row_for_each_tag_and_one_without_tags() {
        let mut image =
            Image { id: "sha256:abcd".into(), repo_tags: vec!["a:1".into(), "b:2".into()], ..Default::default() };
        assert_eq!(rows(&image, false).len(), 2);
        image.repo_tags.clear();
        image.repo_digests = vec!["a@sha256:ff".into()];
        assert_eq!(rows(&image, true), [["a@sha256:ff", "abcd", "0 B", "a@sha256:ff"]]);
    }
}
