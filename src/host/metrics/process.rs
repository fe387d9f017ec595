//! The process as the operating system sees it, by the names that Prometheus' own clients use.

use std::fmt;
use std::fs;
use std::time::SystemTime;

use prometheus_client::encoding::DescriptorEncoder;

use super::{Constant, put, unix_seconds};

/// Numbers about this process; a number that the system does not tell is NaN.
pub struct Process {
    started: f64,
    resident: f64,
    open_files: f64,
    most_files: f64,
    threads: f64,
}

impl Process {
    /// Reads them.
    pub fn read(started: SystemTime) -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let open_files = fs::read_dir("/proc/self/fd").map(|files| {
            // One of them is the folder that is being read.
            files.count().saturating_sub(1)
        });
        let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Self {
            started: unix_seconds(started) as f64,
            resident: number_after(&status, "VmRSS:") * 1024.0,
            open_files: open_files.map_or(f64::NAN, |files| files as f64),
            most_files: limits.current.map_or(f64::INFINITY, |most| most as f64),
            threads: number_after(&status, "Threads:"),
        }
    }

    /// Writes them.
    pub fn encode(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, value) in [
            (
                "process_start_time_seconds",
                "Start of the server, in seconds since 1970",
                self.started,
            ),
            (
                "process_resident_memory_bytes",
                "Resident memory of the process",
                self.resident,
            ),
            (
                "process_open_fds",
                "Open files and sockets",
                self.open_files,
            ),
            (
                "process_max_fds",
                "Limit on open files and sockets",
                self.most_files,
            ),
            ("process_threads", "Threads of the process", self.threads),
        ] {
            put(to, name, help, &Constant(value))?;
        }
        Ok(())
    }
}

/// The number behind `name` in a file of lines such as `VmRSS:   1234 kB`.
fn number_after(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(f64::NAN)
}
