//! The settings as flags, and the environment and the file for [`config::merge`].

use std::{env, fs};

use clap::{Arg, ArgAction, ArgMatches, parser::ValueSource};

use super::{Failure, memory_limit};
use crate::config::{self, ConfigFile, Effective, PORT, RETIRED, Retired, SETTINGS, Setting};

const CONFIG: &str = "config";
const PRINT_CONFIG: &str = "print-config";
/// The settings that `-h` shows; `--help` shows all.
const COMMON: &[&str] = &[
    "listen",
    "threads",
    "log",
    "log_format",
    "data_dir",
    "ephemeral",
    "assignments",
    "grading_secret_file",
];

/// `--config`, `--print-config`, `--port`, and one flag for each setting under the heading of its group.
pub(super) fn arguments() -> Vec<Arg> {
    let print_config = Arg::new(PRINT_CONFIG)
        .long(PRINT_CONFIG)
        .action(ArgAction::SetTrue)
        .help("Print the configuration in force with the source of each value, as a file for --config, and exit");
    let port = Arg::new(PORT)
        .long(PORT)
        .value_name("PORT")
        .help("Port to listen on, at the address of --listen: short for --listen ADDRESS:PORT")
        .allow_hyphen_values(true)
        .help_heading(SETTINGS[0].group);
    let mut arguments = vec![config_file(), print_config];
    for setting in SETTINGS {
        arguments.push(argument(setting));
        if setting.name == "listen" {
            arguments.push(port.clone());
        }
    }
    arguments.extend(RETIRED.iter().map(|retired| {
        // Accepted here, so that the message about it can say what to do.
        Arg::new(retired.flag())
            .long(retired.flag())
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide(true)
    }));
    arguments
}

/// The same flags without a line in the help: `backpropd --threads 4` serves, but `backpropd --help` is about commands.
pub(super) fn hidden_arguments() -> Vec<Arg> {
    let arguments = arguments().into_iter();
    arguments.map(|argument| argument.hide(true)).collect()
}

/// `--config FILE`.
pub(super) fn config_file() -> Arg {
    Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .env("BACKPROPD_CONFIG")
        .help("Read settings from this TOML file; flags and BACKPROPD_… variables take precedence")
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
        // A value such as -1 gets the message about its setting, not one about an unknown flag.
        .allow_hyphen_values(!setting.is_switch)
        .hide_short_help(!COMMON.contains(&setting.name))
        .help_heading(setting.group)
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

/// The settings given as flags, without those that clap took from the environment: [`config::merge`] reads the environment
/// itself, since clap ignores variables that it does not know.
pub(super) fn flags(matches: &ArgMatches) -> Vec<(String, String)> {
    let settings = SETTINGS.iter().map(Setting::flag);
    settings
        .chain([PORT.to_owned()])
        .chain(RETIRED.iter().map(Retired::flag))
        // A command may offer only some of the settings.
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

/// Merges the flags with this process's environment and the file of `--config`.
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
    // A variable that is not UTF-8 is refused like any invalid value, and shown with its invalid bytes replaced.
    let environment = env::vars_os().map(|(name, value)| {
        (
            name.to_string_lossy().into_owned(),
            value.to_string_lossy().into_owned(),
        )
    });
    let memory = memory_limit::of_this_process();
    Ok(config::merge_within(flags, environment, file, memory)?)
}
