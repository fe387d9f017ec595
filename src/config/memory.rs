//! Default limits that fit into the memory that the process may use.

use super::{Config, MIB};

/// The part of the memory that the limits leave to the program itself: one in this many, at least [`LEAST_RESERVE`].
const RESERVE_PART: usize = 8;
const LEAST_RESERVE: usize = 32 * MIB;

/// Lowers the defaults of `config` so that their sum, and what the program itself needs, fits into `memory` bytes.
/// Settings that were given stay, and take their part from the others. Returns the names of the settings that follow the
/// memory; empty if the defaults fit.
pub(super) fn fit(
    config: &mut Config,
    memory: usize,
    is_given: impl Fn(&str) -> bool,
) -> Vec<&'static str> {
    let budget = memory.saturating_sub((memory / RESERVE_PART).max(LEAST_RESERVE));
    let largest_call = [
        ("max_request_bytes", config.max_request_bytes),
        ("max_workspace_bytes", config.max_workspace_bytes),
    ];
    let largest_call = largest_call.into_iter().filter(|(name, _)| is_given(name));
    let largest_call = largest_call.map(|(_, bytes)| bytes).max().unwrap_or(0);
    // Each is taken in full if the clients want it; everything else is a part of one of these.
    let mut pools = [
        (
            "max_total_parameter_bytes",
            &mut config.max_total_parameter_bytes,
        ),
        (
            "max_dataset_memory_bytes",
            &mut config.max_dataset_memory_bytes,
        ),
        ("max_in_flight_bytes", &mut config.max_in_flight_bytes),
        ("max_run_history_bytes", &mut config.max_run_history_bytes),
    ];
    let sum = |given: bool| {
        let pools = pools.iter().filter(|(name, _)| is_given(name) == given);
        pools.fold(0, |sum: usize, (_, bytes)| sum.saturating_add(**bytes))
    };
    let (given, wanted) = (sum(true), sum(false));
    if given.saturating_add(wanted) <= budget {
        return Vec::new();
    }
    let left = budget.saturating_sub(given);
    let mut changed = Vec::new();
    for (name, bytes) in &mut pools {
        if !is_given(name) {
            let part = (**bytes as f64) * (left as f64) / (wanted as f64);
            **bytes = whole_mib(part as usize);
            changed.push(*name);
        }
    }
    // A connection may hold two thirds of it, which a call that was allowed must fit into.
    if !is_given("max_in_flight_bytes") {
        let least = largest_call
            .saturating_add(largest_call / 2)
            .next_multiple_of(MIB);
        config.max_in_flight_bytes = config.max_in_flight_bytes.max(least);
    }
    let (calls, models) = (config.max_in_flight_bytes, config.max_total_parameter_bytes);
    for (name, bytes, most) in [
        (
            "max_request_bytes",
            &mut config.max_request_bytes,
            calls / 2,
        ),
        ("max_reply_bytes", &mut config.max_reply_bytes, calls / 2),
        (
            "max_workspace_bytes",
            &mut config.max_workspace_bytes,
            calls / 2,
        ),
        (
            "max_parameter_bytes_per_address",
            &mut config.max_parameter_bytes_per_address,
            models / 2,
        ),
        (
            "max_session_parameter_bytes",
            &mut config.max_session_parameter_bytes,
            models / 4,
        ),
    ] {
        if !is_given(name) && *bytes > most {
            *bytes = most.max(MIB);
            changed.push(name);
        }
    }
    changed
}

/// Whole mebibytes are easier to read; one is the least that the settings allow.
fn whole_mib(bytes: usize) -> usize {
    (bytes / MIB * MIB).max(MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: usize = 1 << 30;

    fn sum(config: &Config) -> usize {
        config.max_total_parameter_bytes
            + config.max_dataset_memory_bytes
            + config.max_in_flight_bytes
            + config.max_run_history_bytes
    }

    #[test]
    fn the_sum_of_the_limits_fits_into_any_memory_and_no_limits_conflict() {
        for memory in [
            64 * MIB,
            100 * MIB,
            512 * MIB,
            GIB,
            2 * GIB,
            4 * GIB,
            9 * GIB,
        ] {
            let mut config = Config::default();
            let changed = fit(&mut config, memory, |_| false);
            assert!(changed.contains(&"max_in_flight_bytes"), "{memory}");
            assert!(
                sum(&config) <= memory - memory / RESERVE_PART,
                "{memory}: {}",
                sum(&config)
            );
            assert!(
                memory < 128 * MIB || sum(&config) >= memory * 3 / 4,
                "{memory}: {}",
                sum(&config)
            );
            assert!(
                config.conflicts().is_empty(),
                "{memory}: {:?}",
                config.conflicts()
            );
            assert!(config.max_session_parameter_bytes <= config.max_parameter_bytes_per_address);
            assert!(config.max_parameter_bytes_per_address <= config.max_total_parameter_bytes);
        }
    }

    #[test]
    fn enough_memory_changes_nothing() {
        let mut config = Config::default();
        assert!(fit(&mut config, 16 * GIB, |_| false).is_empty());
        assert_eq!(config, Config::default());
    }

    #[test]
    fn given_settings_stay_and_take_their_part_from_the_others() {
        let mut config = Config {
            max_total_parameter_bytes: GIB,
            max_workspace_bytes: 512 * MIB,
            ..Config::default()
        };
        let given = ["max_total_parameter_bytes", "max_workspace_bytes"];
        let changed = fit(&mut config, 2 * GIB, |name| given.contains(&name));
        assert_eq!(config.max_total_parameter_bytes, GIB);
        assert_eq!(config.max_workspace_bytes, 512 * MIB);
        assert!(
            !changed.contains(&given[0]) && !changed.contains(&given[1]),
            "{changed:?}"
        );
        // Room for the call that was allowed, even where the sum is then above the memory.
        assert_eq!(config.max_in_flight_bytes, 768 * MIB);
        assert!(config.conflicts().is_empty(), "{:?}", config.conflicts());
        assert!(config.max_dataset_memory_bytes < GIB / 2);
    }
}
