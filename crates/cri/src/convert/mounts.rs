//! Mounts, both ways.

use super::{image, invalid, known, not_done, security};
use plimsoll_core::container::{Mount, Propagation};
use plimsoll_fault::Fault;
use plimsoll_proto::cri;

pub(crate) fn mount(field: &str, from: cri::Mount) -> Result<Mount, Fault> {
    if !from.mount_options.is_empty() {
        return Err(not_done(&format!("{field}.mount_options")));
    }
    if from.container_path.is_empty() {
        return Err(invalid(&format!("{field}.container_path"), "is empty"));
    }
    let propagation = match known(&format!("{field}.propagation"), from.propagation)? {
        cri::MountPropagation::PropagationPrivate => Propagation::Private,
        cri::MountPropagation::PropagationHostToContainer => Propagation::HostToContainer,
        cri::MountPropagation::PropagationBidirectional => Propagation::Bidirectional,
    };
    if from.recursive_read_only && !(from.readonly && propagation == Propagation::Private) {
        let field = format!("{field}.recursive_read_only");
        return Err(invalid(&field, "needs readonly and PROPAGATION_PRIVATE"));
    }
    Ok(Mount {
        container_path: from.container_path,
        host_path: from.host_path,
        readonly: from.readonly,
        recursive_readonly: from.recursive_read_only,
        propagation,
        selinux_relabel: from.selinux_relabel,
        uids: security::mappings(from.uid_mappings),
        gids: security::mappings(from.gid_mappings),
        // An empty ImageSpec is how some clients write "none".
        image: from.image.filter(|spec| !spec.image.is_empty()).map(image::spec),
        image_sub_path: from.image_sub_path,
    })
}

pub(crate) fn message(from: Mount) -> cri::Mount {
    cri::Mount {
        container_path: from.container_path,
        host_path: from.host_path,
        readonly: from.readonly,
        recursive_read_only: from.recursive_readonly,
        selinux_relabel: from.selinux_relabel,
        propagation: match from.propagation {
            Propagation::Private => cri::MountPropagation::PropagationPrivate,
            Propagation::HostToContainer => cri::MountPropagation::PropagationHostToContainer,
            Propagation::Bidirectional => cri::MountPropagation::PropagationBidirectional,
        }
        .into(),
        image: from.image.map(image::spec_message),
        image_sub_path: from.image_sub_path,
        ..Default::default()
    }
}
