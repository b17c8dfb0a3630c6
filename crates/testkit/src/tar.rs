//! Tar archives written by hand, so that a test can write what no proper tool would.

/// An archive in the making (ustar headers).
#[derive(Clone, Debug, Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    pub fn new() -> Tar {
        Tar::default()
    }

    #[must_use]
    pub fn dir(self, name: &str, mode: u32) -> Tar {
        self.entry(name, b'5', mode, "", &[])
    }

    #[must_use]
    pub fn file(self, name: &str, mode: u32, content: impl AsRef<[u8]>) -> Tar {
        self.entry(name, b'0', mode, "", content.as_ref())
    }

    #[must_use]
    pub fn hard_link(self, name: &str, to: &str) -> Tar {
        self.entry(name, b'1', 0o755, to, &[])
    }

    #[must_use]
    pub fn symlink(self, name: &str, to: &str) -> Tar {
        self.entry(name, b'2', 0o777, to, &[])
    }

    /// Any entry; names and links of up to 100 bytes.
    ///
    /// # Panics
    /// When a name does not fit.
    #[must_use]
    pub fn entry(mut self, name: &str, kind: u8, mode: u32, link: &str, content: &[u8]) -> Tar {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        assert!(name.len() <= 100 && link.len() <= 100, "a short name");
        put(0, name);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", content.len()));
        put(136, "00000000000");
        put(148, "        ");
        put(157, link);
        put(257, "ustar\x0000");
        header[156] = kind;
        let sum: u32 = header.iter().copied().map(u32::from).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// The finished archive.
    #[must_use]
    pub fn bytes(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
