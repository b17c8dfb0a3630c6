//! From a reference to one manifest and config: the registry's answer, the platform's choice, the checks that the parts
//! belong together.

use super::Job;
use crate::store::Inner;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::digest::Digest;
use plimsoll_spec::image::{CONFIG_MAX, Descriptor, Document, ImageConfig, Index, Manifest, media_type};
use plimsoll_spec::platform::Platform;

/// What a pull will fetch.
pub(super) struct Plan {
    /// Digest of what the registry answered.
    pub(super) top: Digest,
    /// The chosen manifest.
    pub(super) target: Descriptor,
    pub(super) manifest: Manifest,
    pub(super) config: ImageConfig,
    /// All documents on the way: indexes, manifest, config.
    pub(super) documents: Vec<Descriptor>,
}

fn bad(what: String) -> Fault {
    Fault::new(Layer::Image, "resolve", what).kind(Kind::InvalidArgument)
}

pub(super) async fn resolve(job: &Job) -> Result<Plan> {
    let mut answer = job.store.client.resolve(&job.reference, job.auth.as_ref()).await?;
    let top = answer.digest.clone();
    let mut documents = Vec::new();
    for _ in 0..=crate::limits::INDEX_DEPTH {
        let document = Document::parse(&answer.bytes, &answer.media_type)
            .map_err(|error| bad(format!("manifest {} is refused", answer.digest)).because(&error))?;
        let media_type = match &document {
            Document::Index(index) => index.media_type.clone(),
            Document::Manifest(manifest) => manifest.media_type.clone(),
        };
        let descriptor = descriptor(&media_type, &answer.digest, answer.bytes.len() as u64);
        job.keep(&descriptor, answer.bytes.to_vec()).await?;
        documents.push(descriptor.clone());
        match document {
            Document::Manifest(manifest) => return finish(job, top, descriptor, *manifest, documents).await,
            Document::Index(index) => {
                let chosen = choose(&index, job.store.platform())?;
                answer = job.store.client.manifest_at(&job.reference, &chosen.digest, job.auth.as_ref()).await?;
                if answer.bytes.len() as u64 != chosen.size {
                    let (found, size) = (answer.bytes.len(), chosen.size);
                    return Err(bad(format!("manifest {} has {found} bytes, its index says {size}", chosen.digest)));
                }
                if answer.media_type.is_empty() {
                    answer.media_type = chosen.media_type;
                }
            }
        }
    }
    Err(bad(format!("index {top} is nested too deeply")))
}

fn descriptor(media_type: &str, digest: &Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: digest.clone(),
        size,
        platform: None,
        annotations: std::collections::BTreeMap::new(),
        artifact_type: None,
        urls: Vec::new(),
    }
}

/// The entry that fits the host best; the first of equals. An entry without platform counts only if it is alone.
fn choose(index: &Index, host: &Platform) -> Result<Descriptor> {
    let image = |entry: &&Descriptor| {
        entry.media_type.is_empty()
            || media_type::is_manifest(&entry.media_type)
            || media_type::is_index(&entry.media_type)
    };
    let entries: Vec<&Descriptor> = index.manifests.iter().filter(image).collect();
    let ranked = entries.iter().filter_map(|entry| Some((host.rank(entry.platform.as_ref()?)?, *entry)));
    if let Some((_, best)) = ranked.min_by_key(|(rank, _)| *rank) {
        return Ok(best.clone());
    }
    match entries.as_slice() {
        [only] if only.platform.is_none() => return Ok((*only).clone()),
        _ => {}
    }
    let mut offered: Vec<String> = entries.iter().filter_map(|e| Some(e.platform.as_ref()?.to_string())).collect();
    offered.dedup();
    offered.truncate(20);
    let what = format!("image has no manifest for {host}; it has {}", offered.join(", "));
    Err(Fault::new(Layer::Image, "resolve", what).kind(Kind::NotFound))
}

async fn finish(
    job: &Job,
    top: Digest,
    target: Descriptor,
    manifest: Manifest,
    mut documents: Vec<Descriptor>,
) -> Result<Plan> {
    let kind = &manifest.config.media_type;
    // Builders of old left the type out or wrote octet-stream; everything else is an artifact, not an image.
    if !(kind.is_empty() || media_type::is_image_config(kind) || kind == "application/octet-stream") {
        return Err(bad(format!("{} is no container image: its config has the type {kind:?}", job.reference)));
    }
    if let Some(layer) = manifest.layers.iter().find(|layer| media_type::layer_compression(&layer.media_type).is_none())
    {
        return Err(bad(format!("layer {} has the unsupported type {:?}", layer.digest, layer.media_type)));
    }
    let config = config(job, &manifest.config).await?;
    documents.push(manifest.config.clone());
    let (layers, ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    if layers != ids {
        return Err(bad(format!("image {} has {layers} layers but {ids} diffIDs", manifest.config.digest)));
    }
    let host = job.store.platform();
    if !config.platform.architecture.is_empty() && host.rank(&config.platform).is_none() {
        let what = format!("image {} is for {}, this host is {host}", job.reference, config.platform);
        return Err(Fault::new(Layer::Image, "resolve", what).kind(Kind::FailedPrecondition));
    }
    Ok(Plan { top, target, manifest, config, documents })
}

async fn config(job: &Job, blob: &Descriptor) -> Result<ImageConfig> {
    if blob.size > CONFIG_MAX {
        return Err(bad(format!("image config of {} bytes exceeds the limit of {CONFIG_MAX}", blob.size)));
    }
    super::blob(job, blob, None).await?;
    let (content, digest) = (job.store.content.clone(), blob.digest.clone());
    let bytes = Inner::blocking(move || content.read(&digest, CONFIG_MAX)).await?;
    ImageConfig::parse(&bytes)
        .map_err(|error| bad(format!("image config {} cannot be read", blob.digest)).because(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[Option<&str>]) -> Index {
        let manifests = platforms.iter().enumerate().map(|(number, platform)| {
            let mut entry = descriptor(media_type::OCI_MANIFEST, &Digest::sha256(&[number as u8]), 1);
            entry.platform = platform.map(|text| text.parse().unwrap());
            entry
        });
        Index {
            schema_version: 2,
            media_type: media_type::OCI_INDEX.into(),
            manifests: manifests.collect(),
            annotations: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn the_best_platform_is_chosen() {
        let host: Platform = "linux/arm/v7".parse().unwrap();
        let wanted = |entries: &[Option<&str>]| {
            let index = index(entries);
            let chosen = choose(&index, &host)?;
            Ok::<_, Fault>(index.manifests.iter().position(|entry| entry.digest == chosen.digest).unwrap())
        };
        assert_eq!(wanted(&[Some("linux/amd64"), Some("linux/arm/v6"), Some("linux/arm/v7")]).unwrap(), 2);
        assert_eq!(wanted(&[None]).unwrap(), 0);
        let fault = wanted(&[Some("linux/amd64"), Some("unknown/unknown")]).unwrap_err();
        assert!(fault.to_string().contains("no manifest for linux/arm/v7; it has linux/amd64"), "{fault}");
        assert!(wanted(&[None, None]).is_err());
    }
}
