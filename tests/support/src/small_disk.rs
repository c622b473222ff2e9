//! A file system that can be filled: a small one in memory, where this machine allows mounting one.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::postgres::is_root;

#[derive(Debug)]
pub struct SmallDisk {
    directory: PathBuf,
    /// Unmounts the disk as soon as its standard input ends, however this process ends.
    watcher: Child,
}

impl SmallDisk {
    /// Mounts a disk. Where that is not allowed, returns `None` and reports it in a way that no test harness captures.
    pub fn mount(mib: u32) -> Option<Self> {
        let mounted = if is_root() { Self::try_to_mount(mib) } else { None };
        if mounted.is_none() {
            writeln!(std::io::stderr(), "nothing can be mounted here: no disk is filled").expect("standard error");
        }
        mounted
    }

    fn try_to_mount(mib: u32) -> Option<Self> {
        let directory = tempfile::Builder::new().prefix("codemint-test-").tempdir().expect("a directory").keep();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m,mode=777"), "codemint-test"]).arg(&directory);
        if !mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            fs::remove_dir(&directory).expect("an empty directory");
            return None;
        }
        let at = directory.display();
        let script = format!("trap '' INT TERM; cat > /dev/null; umount --lazy {at}; rmdir {at}");
        let watcher = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().expect("a shell");
        Some(Self { directory, watcher })
    }

    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Fills the disk to the last byte.
    pub fn fill(&self) {
        let mut ballast = OpenOptions::new().create(true).append(true).open(self.ballast()).expect("a file");
        for piece in [1 << 20, 4096] {
            let piece = vec![0; piece];
            loop {
                match ballast.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// Undoes [`SmallDisk::fill`].
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("a full disk");
    }

    fn ballast(&self) -> PathBuf {
        self.directory.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ended = self.watcher.wait();
    }
}
