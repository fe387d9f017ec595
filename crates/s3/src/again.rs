//! For tests of what is configured by the environment: an environment belongs to a whole process.

use std::io;
use std::process::Command;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::{S3, Settings};

/// Serves an S3 and runs one test of this test program again, in a process whose environment has its address and keys.
///
/// `test` is the full path of the test; `variables` are added to the environment, and replace what is in it. Returns
/// what the test printed; a test that fails, or that does not exist, is an error with all that the process printed.
pub fn run_test_again(
    settings: Settings,
    test: &str,
    variables: &[(&str, &str)],
) -> io::Result<String> {
    let (key, secret) = (settings.key.clone(), settings.secret.clone());
    let runtime = Runtime::new()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    runtime.spawn(S3::new(settings).serve(listener));
    let output = Command::new(std::env::current_exe()?)
        .args(["--exact", test, "--nocapture"])
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ACCESS_KEY_ID", key)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .envs(variables.iter().copied())
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() && printed.contains("1 passed") {
        return Ok(printed);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{test}: {printed}{errors}")))
}
