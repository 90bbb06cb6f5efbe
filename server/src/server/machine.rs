//! What the operating system says about this machine and process.

use std::path::Path;

/// The machine's name, where the system tells it.
pub(crate) fn hostname() -> Option<String> {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .map(|name| name.trim().to_owned())
        .find(|name| !name.is_empty())
}

/// Memory of this process that is in RAM.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Files and sockets that this process has open.
pub(crate) fn open_files() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count())
}

pub(crate) fn user_id(name: &str) -> Option<u32> {
    id_in(Path::new("/etc/passwd"), name)
}

pub(crate) fn group_id(name: &str) -> Option<u32> {
    id_in(Path::new("/etc/group"), name)
}

/// A number, or what a file of `name:x:number:…` lines says.
fn id_in(path: &Path, name: &str) -> Option<u32> {
    if let Ok(id) = name.parse() {
        return Some(id);
    }
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let mut parts = line.split(':');
        (parts.next() == Some(name)).then_some(())?;
        parts.nth(1)?.parse().ok()
    })
}
