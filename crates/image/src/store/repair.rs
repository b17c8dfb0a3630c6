//! After an unclean boot: layers whose files may not have reached the disk are unpacked again from their blobs, which have.

use super::Inner;
use crate::layer::unpack;
use plimsoll_fault::Result;
use plimsoll_spec::digest::Digest;
use plimsoll_spec::image::{Document, MANIFEST_MAX};
use std::collections::HashMap;

impl Inner {
    /// Makes doubtful layers anew. One that cannot be is left as it is and reported: its image must be pulled again.
    pub(crate) fn repair(&self) -> Result<()> {
        let doubtful = self.overlay.doubtful()?;
        if doubtful.is_empty() {
            return Ok(());
        }
        let sources = self.sources()?;
        for (name, parent) in doubtful {
            let made = match sources.get(&name) {
                Some((blob, diff_id)) => self.remake(&name, parent.as_deref(), blob, diff_id),
                None => Err(crate::fault::lost("repair", &format!("no image has the layer {name}"))),
            };
            match made {
                Ok(()) => tracing::info!(layer = %name, "unpacked again after an unclean boot"),
                Err(fault) => tracing::warn!(layer = %name, %fault, "a layer may be damaged by an unclean boot"),
            }
        }
        self.overlay.sync()
    }

    fn remake(&self, name: &str, parent: Option<&str>, blob: &Digest, diff_id: &Digest) -> Result<()> {
        let staged = self.overlay.stage()?;
        let applied = unpack(self.content.reader(blob)?, diff_id, &staged.files(), self.rights)?;
        self.overlay.replace(staged, name, parent, &applied)
    }

    /// Of each chain ID that an image has: the blob and the diffID of its top layer.
    fn sources(&self) -> Result<HashMap<String, (Digest, Digest)>> {
        let mut sources = HashMap::new();
        for entry in self.images.list_all()? {
            let image = entry.record.value;
            let bytes = self.content.read(&image.target.digest, MANIFEST_MAX)?;
            let Ok(Document::Manifest(manifest)) = Document::parse(&bytes, &image.target.media_type) else { continue };
            let layers = manifest.layers.into_iter().map(|layer| layer.digest);
            for ((chain, blob), diff_id) in image.chain.iter().zip(layers).zip(image.config.rootfs.diff_ids) {
                sources.insert(chain.to_string(), (blob, diff_id));
            }
        }
        Ok(sources)
    }
}
