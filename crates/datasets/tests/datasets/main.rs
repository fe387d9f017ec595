//! Files of every format, read whole and in blocks, uploaded in pieces, damaged in every way.

mod blocks;
mod files;
mod formats;
mod hostile;
mod splits;
mod uploads;
