//! Every bound on foreign or stored data of this crate, each with its reason.

/// Cache of the database in bytes: it holds metadata only.
pub(crate) const DB_CACHE: usize = 4 << 20;

/// Longest path and link target in a layer (Linux PATH_MAX, without its zero byte).
pub(crate) const PATH_MAX: usize = 4095;
/// Longest component (Linux NAME_MAX).
pub(crate) const COMPONENT_MAX: usize = 255;
/// PAX and GNU headers of one entry together: a bomb of headers must fit in memory.
pub(crate) const ENTRY_METADATA: u32 = 1 << 20;
/// Regions of one sparse file.
pub(crate) const SPARSE_REGIONS: usize = 10_000;
/// Entries of one layer. The largest known images have about two million.
pub(crate) const LAYER_ENTRIES: u64 = 16_000_000;
/// Bytes of one uncompressed layer: stops an endless stream before the disk does.
pub(crate) const LAYER_BYTES: u64 = 1 << 40;
/// Size of one logical file (ext4's own limit is 16 TiB): keeps sparse sizes within what file systems take.
pub(crate) const FILE_BYTES: u64 = 1 << 43;
/// Open folders remembered while one layer is written.
pub(crate) const OPEN_FOLDERS: usize = 64;
/// Bytes that pass between the inflating and the writing thread at once.
pub(crate) const PIPE_CHUNK: usize = 256 << 10;
/// Chunks in flight between them.
pub(crate) const PIPE_DEPTH: usize = 4;

/// Error bodies and token answers of registries.
pub(crate) const ANSWER_MAX: u64 = 256 << 10;
/// Redirects of one request.
pub(crate) const REDIRECTS: usize = 5;
/// Times that one request is sent before a passing failure (5xx, 429, reset) is final.
pub(crate) const ATTEMPTS: u32 = 4;
/// Longest wait that a registry's Retry-After is honoured for.
pub(crate) const RETRY_AFTER_MAX: std::time::Duration = std::time::Duration::from_secs(20);
/// To connect and finish TLS.
pub(crate) const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
/// From request to the head of the answer.
pub(crate) const HEAD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);
/// Between two pieces of a body.
pub(crate) const IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);
/// Tokens kept: one per repository and credential.
pub(crate) const TOKENS: usize = 512;
/// Layers of one image downloading at once.
pub(crate) const DOWNLOADS: usize = 4;
/// Index within index within index: what real multi-level indexes need, and an end to cycles.
pub(crate) const INDEX_DEPTH: usize = 3;
/// Pieces of a body between the network and the disk.
pub(crate) const BODY_PIECES: usize = 32;
/// How long what a killed download left waits to be gone on with.
pub(crate) const INGEST_LIFE: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);
