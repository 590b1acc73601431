//! The clock that the programs read (`CLOCK_MONOTONIC_COARSE`).

use gateway_ebpf::abi::Tick;

/// The time now.
pub fn now() -> Tick {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    Tick::from_ns(u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0))
}
