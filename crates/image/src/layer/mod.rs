//! Layers: a compressed tar becomes a folder of an overlay. Owns decompression, the tar stream, the extractor and the
//! check of the diffID; knows no registry and no database.

mod apply;
mod block;
mod decompress;
mod dirs;
mod file;
mod implied;
mod meta;
mod node;
mod path;
mod unpack;
mod whiteout;

pub use apply::{Applied, apply};
pub(crate) use implied::inherit;
pub use unpack::unpack;

/// What the process may do to the files it makes. What it may not do is left out, not refused: a rootless store keeps the
/// image usable by its own user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// May give files to the owners that the layer names.
    pub chown: bool,
    /// May make device nodes. (Whiteouts need no right since kernel 5.8.)
    pub mknod: bool,
    /// May set `trusted.*` and `security.*` attributes; without it opaque folders use `user.overlay.opaque`.
    pub trusted_xattr: bool,
}

impl Rights {
    pub const ROOT: Self = Self { chown: true, mknod: true, trusted_xattr: true };
    pub const NONE: Self = Self { chown: false, mknod: false, trusted_xattr: false };

    pub(crate) fn opaque_name(self) -> &'static str {
        if self.trusted_xattr { "trusted.overlay.opaque" } else { "user.overlay.opaque" }
    }
}

#[cfg(test)]
mod tests;
