//! ImageFsInfo: the store's root holds images and writable layers alike.

use crate::Cri;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{
    FilesystemIdentifier, FilesystemUsage, ImageFsInfoRequest, ImageFsInfoResponse, UInt64Value,
};

pub(crate) async fn image_fs_info(cri: Cri, _: ImageFsInfoRequest) -> Result<ImageFsInfoResponse, Fault> {
    let usage = cri.store().usage().await?;
    let now = jiff::Timestamp::now().as_nanosecond();
    let all = FilesystemUsage {
        timestamp: i64::try_from(now).unwrap_or(i64::MAX),
        fs_id: Some(FilesystemIdentifier { mountpoint: cri.core().config().root.display().to_string() }),
        used_bytes: Some(UInt64Value { value: usage.bytes }),
        inodes_used: Some(UInt64Value { value: usage.inodes }),
    };
    Ok(ImageFsInfoResponse { image_filesystems: vec![all.clone()], container_filesystems: vec![all] })
}
