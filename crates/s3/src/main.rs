//! An S3 in memory, as a program: for clusters of nodes in tests.
//!
//! Options: --listen ADDRESS, --bucket NAME, --region NAME, --delay-ms N, --faults-per-mille N, --seed N,
//! --ignores-conditions, --read-only. The credentials are "key" and "secret".

use std::io::{self, Write};
use std::time::Duration;

use backpropd_s3::{S3, Settings};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> io::Result<()> {
    let (address, settings) = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("{reason}");
            std::process::exit(2);
        }
    };
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    io::stdout().flush()?;
    S3::new(settings).serve(listener).await
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<(String, Settings), String> {
    let mut address = "127.0.0.1:0".to_owned();
    let mut settings = Settings::default();
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
        let number = |text: String| {
            let parsed: Result<u32, _> = text.parse();
            parsed.map_err(|_| format!("{text:?} is not a number"))
        };
        match name.as_str() {
            "--listen" => address = value()?,
            "--bucket" => settings.bucket = value()?,
            "--region" => settings.region = Some(value()?),
            "--delay-ms" => settings.delay = Duration::from_millis(number(value()?)?.into()),
            "--faults-per-mille" => settings.faults_per_mille = number(value()?)?,
            "--seed" => settings.seed = number(value()?)?.into(),
            "--ignores-conditions" => settings.ignores_conditions = true,
            "--read-only" => settings.is_read_only = true,
            _ => return Err(format!("{name} is not an option")),
        }
    }
    Ok((address, settings))
}
