//! The memory that this process may use, as its control group says.

use std::fs;
use std::path::Path;

/// The limit on the memory of this process, in bytes, if a control group has one below the memory of the machine.
pub(super) fn of_this_process() -> Option<usize> {
    below(Path::new("/"))
}

/// The same, with another folder in place of the root of the file system.
fn below(root: &Path) -> Option<usize> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = groups.lines().filter_map(|line| {
        // The number of the hierarchy, its controllers, the path of the group.
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        if number == "0" && controllers.is_empty() {
            least(&root.join("sys/fs/cgroup"), path, "memory.max")
        } else if controllers
            .split(',')
            .any(|controller| controller == "memory")
        {
            let hierarchy = root.join("sys/fs/cgroup/memory");
            least(&hierarchy, path, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    let limit = limits.min()?;
    // Version 1 writes "none" as a number above all memory.
    (limit < machine(root)).then_some(limit)
}

/// The least limit of a group and of those around it. In a container the path can be that of the machine, which does not
/// exist there, while the root of the hierarchy is the container's group.
fn least(hierarchy: &Path, path: &str, file: &str) -> Option<usize> {
    let groups = Path::new(path.trim_start_matches('/')).ancestors();
    let limits = groups.filter_map(|group| {
        let text = fs::read_to_string(hierarchy.join(group).join(file)).ok()?;
        // "max" is no number: there is no limit.
        text.trim().parse().ok()
    });
    limits.min()
}

/// The memory of the machine, in bytes.
fn machine(root: &Path) -> usize {
    let text = fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.map_or(usize::MAX, |kib| kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit where the files below the root are these.
    fn limit(files: &[(&str, &str)]) -> Option<usize> {
        let root = tempfile::tempdir().expect("a folder");
        let memory = (
            "proc/meminfo",
            "MemTotal:        8388608 kB\nMemFree: 1 kB\n",
        );
        for (path, text) in files.iter().chain([&memory]) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        below(root.path())
    }

    #[test]
    fn the_limit_of_version_2_is_the_least_on_the_way_to_the_root() {
        let group = ("proc/self/cgroup", "0::/system.slice/backpropd.service\n");
        let own = "sys/fs/cgroup/system.slice/backpropd.service/memory.max";
        let slice = "sys/fs/cgroup/system.slice/memory.max";
        assert_eq!(limit(&[group]), None);
        assert_eq!(limit(&[group, (own, "max\n")]), None);
        assert_eq!(
            limit(&[group, (own, "2147483648\n"), (slice, "max\n")]),
            Some(2 << 30)
        );
        assert_eq!(
            limit(&[group, (own, "max\n"), (slice, "1073741824\n")]),
            Some(1 << 30)
        );
        assert_eq!(
            limit(&[group, (own, "17179869184\n")]),
            None,
            "above the machine's memory"
        );
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_root() {
        let max = ("sys/fs/cgroup/memory.max", "536870912\n");
        assert_eq!(
            limit(&[("proc/self/cgroup", "0::/\n"), max]),
            Some(512 << 20)
        );
        let of_the_machine = ("proc/self/cgroup", "0::/machine.slice/x.scope\n");
        assert_eq!(limit(&[of_the_machine, max]), Some(512 << 20));
    }

    #[test]
    fn version_1_names_the_controller() {
        let groups = (
            "proc/self/cgroup",
            "5:cpu,cpuacct:/x\n4:memory:/docker/1\n1:name=systemd:/\n",
        );
        let file = "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes";
        assert_eq!(limit(&[groups, (file, "268435456\n")]), Some(256 << 20));
        assert_eq!(limit(&[groups, (file, "9223372036854771712\n")]), None);
        assert_eq!(limit(&[]), None, "no control groups at all");
    }
}
