//! Records of images: one per namespace and config digest, carrying the names that lead to it.

use super::{Image, Inner};
use crate::db::Record;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::digest::Digest;
use plimsoll_spec::image::{Descriptor, ImageConfig};
use plimsoll_spec::reference::Reference;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is stored of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    pub(crate) tags: BTreeSet<String>,
    pub(crate) repo_digests: BTreeSet<String>,
    pub(crate) target: Descriptor,
    /// Everything it needs in the content store, once each.
    pub(crate) blobs: Vec<Descriptor>,
    pub(crate) config: ImageConfig,
    pub(crate) chain: Vec<Digest>,
    #[serde(default)]
    pub(crate) pinned: bool,
}

/// Shortest prefix of an id that is taken for one.
const ID_PREFIX_MIN: usize = 4;

impl Inner {
    /// Writes the image and moves the tag to it, in one transaction.
    #[expect(clippy::too_many_arguments, reason = "the one place where the parts of a finished pull meet")]
    pub(crate) fn record(
        &self,
        namespace: &str,
        reference: &Reference,
        top: &Digest,
        id: Digest,
        target: Descriptor,
        blobs: Vec<Descriptor>,
        config: ImageConfig,
        chain: Vec<Digest>,
    ) -> Result<Image> {
        let fresh = ImageRecord {
            tags: BTreeSet::new(),
            repo_digests: BTreeSet::new(),
            target,
            blobs,
            config,
            chain,
            pinned: false,
        };
        let tag = reference.tag().map(|tag| format!("{}:{tag}", reference.name()));
        let record = self.db.write(|txn| {
            if let Some(tag) = &tag {
                for mut entry in txn.list(&self.images, Some(namespace))? {
                    if entry.id != id.to_string() && entry.record.value.tags.remove(tag) {
                        txn.put(&self.images, namespace, &entry.id, &entry.record)?;
                    }
                }
            }
            let known = txn.read(&self.images, namespace, &id.to_string())?;
            let mut record = known.unwrap_or_else(|| Record::new(fresh.clone()));
            // The same config may come by another manifest: what both need is kept.
            let value = &mut record.value;
            value.blobs.extend(fresh.blobs.iter().cloned());
            value.blobs.sort_by(|a, b| a.digest.cmp(&b.digest));
            value.blobs.dedup_by(|a, b| a.digest == b.digest);
            value.target = fresh.target.clone();
            value.tags.extend(tag.clone());
            value.repo_digests.insert(reference.pinned(top.clone()).to_string());
            txn.put(&self.images, namespace, &id.to_string(), &record)?;
            Ok(record)
        })?;
        Ok(image(namespace, id, record))
    }

    pub(crate) fn list_images(&self, namespace: &str) -> Result<Vec<Image>> {
        let entries = self.images.list(namespace)?;
        entries.into_iter().map(|entry| Ok(image(namespace, id_of(&entry.id)?, entry.record))).collect()
    }

    pub(crate) fn find_image(&self, namespace: &str, name: &str) -> Result<Option<Image>> {
        let mut images = self.list_images(namespace)?;
        let Some(at) = find(&images, name)? else { return Ok(None) };
        Ok(Some(images.swap_remove(at)))
    }

    /// Removes the record; what only it needed goes with the next collection.
    pub(crate) fn forget_image(&self, namespace: &str, name: &str) -> Result<bool> {
        match self.find_image(namespace, name)? {
            Some(image) => self.images.remove(namespace, &image.id.to_string()),
            None => Ok(false),
        }
    }
}

fn id_of(text: &str) -> Result<Digest> {
    text.parse().map_err(|error| crate::fault::lost("read", &format!("image record {text}")).because(&error))
}

/// An id, a prefix of its hexadecimal part, or a reference.
fn find(images: &[Image], name: &str) -> Result<Option<usize>> {
    if let Ok(id) = name.parse::<Digest>() {
        return Ok(images.iter().position(|image| image.id == id));
    }
    if let Ok(reference) = name.parse::<Reference>() {
        if let Some(digest) = reference.digest() {
            let pinned = reference.pinned(digest.clone()).to_string();
            return Ok(images.iter().position(|image| image.repo_digests.contains(&pinned)));
        }
        let tag = reference.or_latest().to_string();
        if let Some(at) = images.iter().position(|image| image.tags.contains(&tag)) {
            return Ok(Some(at));
        }
    }
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if name.len() < ID_PREFIX_MIN || !name.bytes().all(hex) {
        return Ok(None);
    }
    let mut matching =
        images.iter().enumerate().filter(|(_, image)| image.id.hex().starts_with(name)).map(|(at, _)| at);
    match (matching.next(), matching.next()) {
        (Some(_), Some(_)) => {
            let what = format!("image id {name} is ambiguous");
            Err(Fault::new(Layer::Caller, "find", what).kind(Kind::InvalidArgument))
        }
        (first, _) => Ok(first),
    }
}

fn image(namespace: &str, id: Digest, record: Record<ImageRecord>) -> Image {
    let value = record.value;
    Image {
        namespace: namespace.to_owned(),
        id,
        tags: value.tags.into_iter().collect(),
        repo_digests: value.repo_digests.into_iter().collect(),
        target: value.target,
        size: value.blobs.iter().map(|blob| blob.size).sum(),
        config: value.config,
        chain: value.chain,
        labels: record.labels,
        pinned: value.pinned,
    }
}
