//! The machine that was measured.

/// Its processor, cores and kernel in a few words, as far as `/proc` tells.
pub(crate) fn describe() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory = read("/proc/meminfo").lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    let gibibytes = memory.unwrap_or_default().div_ceil(1 << 20);
    format!("{cores} cores ({model}), {gibibytes} GiB of memory, Linux {}", kernel.trim())
}
