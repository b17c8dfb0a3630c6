//! Figures.

use super::container::metadata;
use plimsoll_core::container::{ContainerFilter, ContainerStats};
use plimsoll_proto::cri;

pub(crate) fn filter(from: cri::ContainerStatsFilter) -> ContainerFilter {
    ContainerFilter {
        id: (!from.id.is_empty()).then_some(from.id),
        sandbox: (!from.pod_sandbox_id.is_empty()).then_some(from.pod_sandbox_id),
        state: None,
        labels: from.label_selector.into_iter().collect(),
    }
}

pub(crate) fn container(from: ContainerStats) -> cri::ContainerStats {
    let number = |value: Option<u64>| value.map(|value| cri::UInt64Value { value });
    let timestamp = from.timestamp;
    let config = from.container.config;
    let cpu = from.cpu_nanoseconds.map(|used| cri::CpuUsage {
        timestamp,
        usage_core_nano_seconds: number(Some(used)),
        usage_nano_cores: None,
        psi: None,
    });
    let memory = from.memory_usage.map(|used| cri::MemoryUsage {
        timestamp,
        working_set_bytes: number(from.memory_working_set),
        available_bytes: number(from.memory_available),
        usage_bytes: number(Some(used)),
        rss_bytes: number(from.memory_rss),
        page_faults: number(from.page_faults),
        major_page_faults: number(from.major_page_faults),
        psi: None,
    });
    cri::ContainerStats {
        attributes: Some(cri::ContainerAttributes {
            id: from.container.id,
            metadata: Some(metadata(config.metadata)),
            labels: config.labels.into_iter().collect(),
            annotations: config.annotations.into_iter().collect(),
        }),
        cpu,
        memory,
        writable_layer: Some(cri::FilesystemUsage {
            timestamp,
            fs_id: Some(cri::FilesystemIdentifier { mountpoint: from.layer_path }),
            used_bytes: number(Some(from.layer_bytes)),
            inodes_used: number(Some(from.layer_inodes)),
        }),
        swap: None,
        io: None,
    }
}
