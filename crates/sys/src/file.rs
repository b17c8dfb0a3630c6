//! Small files whole, in as few system calls as there can be: no look at the size before, no second call for close-on-exec.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// More than any file of `/proc` and cgroupfs that is read on the way to a container.
const CHUNK: usize = 4096;

/// The content of a file. Written for kernel files, which say nothing of their size.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut content = Vec::with_capacity(CHUNK);
    loop {
        content.reserve(CHUNK / 2);
        match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut content)) {
            Ok(0) => return Ok(content),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// As [`read`], for text.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Makes or replaces a file (0666 less the umask). Not atomic: for a place that nobody looks at yet.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666))?;
    write_all(&file, content)
}

fn write_all(file: impl AsFd, mut content: &[u8]) -> io::Result<()> {
    while !content.is_empty() {
        match rustix::io::write(&file, content) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(done) => content = content.get(done..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_every_size_come_back_whole() {
        let path = std::env::temp_dir().join(format!("plim-file-{}", std::process::id()));
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 100_000] {
            let content = vec![b'x'; size];
            write(&path, &content).expect("written");
            assert_eq!(read(&path).expect("read"), content);
        }
        std::fs::remove_file(&path).expect("cleanup");
        assert_eq!(read(&path).expect_err("gone").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn kernel_files_without_a_size() {
        assert!(read_text(Path::new("/proc/self/status")).expect("read").contains("VmRSS"));
    }
}
