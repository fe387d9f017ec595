//! The program as a process of its own, killed, with a disk that fails, a network that fails, a clock that jumps.

mod backups;
mod chaos;
mod clients;
mod cut_connections;
mod datasets;
#[allow(dead_code)] // Shared with the server's tests, which need more of it.
#[path = "../server/fixture.rs"]
mod fixture;
mod full_disk;
mod hostile;
#[allow(dead_code)] // The same.
#[path = "../server/http2.rs"]
mod http2;
mod kills;
mod process;
mod random;
mod restarts;
mod rounds;
