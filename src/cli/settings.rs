//! The settings as flags, and the reading of environment and file for [`config::merge`].

use std::{env, fs};

use clap::{Arg, ArgAction, ArgMatches, parser::ValueSource};

use super::Failure;
use crate::config::{self, ConfigFile, Effective, SETTINGS, Setting};

const CONFIG: &str = "config";
const PRINT_CONFIG: &str = "print-config";
/// Shown by `-h`; the others, limits that few change, by `--help` alone.
const COMMON: &[&str] = &["listen", "allow_remote", "threads", "log", "log_format"];

/// `--config` and `--print-config`, then one flag for each setting.
pub(super) fn arguments() -> Vec<Arg> {
    let print_config = Arg::new(PRINT_CONFIG)
        .long(PRINT_CONFIG)
        .action(ArgAction::SetTrue)
        .help("Print the configuration in force, as a file for --config that says where each value came from, and exit");
    let mut arguments = vec![config_file(), print_config];
    arguments.extend(SETTINGS.iter().map(argument));
    arguments
}

/// `--config FILE`.
pub(super) fn config_file() -> Arg {
    Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .env("BACKPROPD_CONFIG")
        .help("Read settings from this TOML file; flags and BACKPROPD_… variables go before it")
}

/// The flag of the setting `name`.
pub(super) fn argument_of(name: &str) -> Option<Arg> {
    SETTINGS
        .iter()
        .find(|setting| setting.name == name)
        .map(argument)
}

fn argument(setting: &Setting) -> Arg {
    let default = setting
        .default_text()
        .map_or(String::new(), |text| format!(" [default: {text}]"));
    let argument = Arg::new(setting.flag())
        .long(setting.flag())
        .value_name("VALUE")
        .env(setting.variable())
        .hide_env_values(true)
        // A filter such as "-" or a negative number deserves our message, not one about an unknown flag.
        .allow_hyphen_values(!setting.is_switch)
        .hide_short_help(!COMMON.contains(&setting.name))
        .help_heading("Settings")
        .help(format!("{}{default}", setting.description));
    if setting.is_switch {
        argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
    } else {
        argument
    }
}

/// The settings given as flags. What clap read from the environment is left out: [`config::merge`] reads that itself,
/// because clap cannot know the variables that nobody declared.
pub(super) fn flags(matches: &ArgMatches) -> Vec<(String, String)> {
    SETTINGS
        .iter()
        .map(Setting::flag)
        // A subcommand may offer only some of the settings, so an unknown id is no error here.
        .filter(|flag| matches.try_contains_id(flag).is_ok())
        .filter(|flag| matches.value_source(flag) == Some(ValueSource::CommandLine))
        .filter_map(|flag| {
            let value = matches.get_one::<String>(&flag)?.clone();
            Some((flag, value))
        })
        .collect()
}

/// Whether to print the configuration instead of using it.
pub(super) fn prints_config(matches: &ArgMatches) -> bool {
    matches.get_flag(PRINT_CONFIG)
}

/// Merges the flags with this process's environment and the file that they name.
pub(super) fn load(
    matches: &ArgMatches,
    flags: Vec<(String, String)>,
) -> Result<Effective, Failure> {
    let file = match matches.get_one::<String>(CONFIG) {
        None => None,
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| {
                Failure::usage(format!(
                    "cannot read the configuration file {path}: {error}"
                ))
            })?;
            Some((path, text))
        }
    };
    let file = file.as_ref().map(|(name, text)| ConfigFile { name, text });
    // A variable that is not UTF-8 is shown with the bad bytes replaced, and then refused like any other bad value.
    let environment = env::vars_os().map(|(name, value)| {
        (
            name.to_string_lossy().into_owned(),
            value.to_string_lossy().into_owned(),
        )
    });
    Ok(config::merge(flags, environment, file)?)
}
