//! What the disk gives: files replaced and synced by threads that do nothing else.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[derive(serde::Deserialize)]
pub struct Commits {
    folder: PathBuf,
    threads: usize,
    /// The size of each file.
    bytes: usize,
    seconds: f64,
    /// All files in one folder, in place of one in each.
    one_folder: bool,
}

impl Commits {
    pub fn measure(self) -> Value {
        let content = vec![7; self.bytes];
        let barrier = Barrier::new(self.threads);
        let count = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads)
                .map(|thread| {
                    let folder = match self.one_folder {
                        true => self.folder.clone(),
                        false => self.folder.join(thread.to_string()),
                    };
                    let (content, barrier) = (&content, &barrier);
                    scope.spawn(move || {
                        fs::create_dir_all(&folder).unwrap();
                        let file = folder.join(format!("{thread}.model"));
                        replace(&folder, &file, content);
                        barrier.wait();
                        let end = Instant::now() + Duration::from_secs_f64(self.seconds);
                        let mut count = 0;
                        while Instant::now() < end {
                            replace(&folder, &file, content);
                            count += 1;
                        }
                        count
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum::<usize>()
        });
        json!({"per_second": count as f64 / self.seconds})
    }
}

/// After this the file has this content, also after a power cut; before, it has the old one.
fn replace(folder: &Path, file: &Path, content: &[u8]) {
    let next = file.with_extension("next");
    let mut writing = File::create(&next).unwrap();
    writing.write_all(content).unwrap();
    writing.sync_all().unwrap();
    fs::rename(&next, file).unwrap();
    File::open(folder).unwrap().sync_all().unwrap();
}
