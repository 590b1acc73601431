//! Each loaded program by itself: nanoseconds per packet under `BPF_PROG_TEST_RUN`.
//!
//! The programs are those that the daemon has loaded, with its tables, under a real policy, and flows that real packets have opened.
//! A program of the bench stamps a fresh frame and jumps into them (`gateway-ebpf/src/bench/programs/stamped.rs`).

use anyhow::{Context, Result, ensure};
use aya::TestRunOptions;
use aya::maps::{MapData, ProgramArray};
use aya::programs::{ProgramFd, SchedClassifier, TestRun, TestRunResult, Xdp, loaded_programs};
use gateway_ebpf::bench::{BLOCK, template_v4};

use crate::figure::{Case, Figure, Metric};
use crate::network::{HOST, IN_MAC, OUT_MAC, SINK_MAC};
use crate::path::{Path, Range};
use crate::rig::Rig;
use crate::run::Run;
use crate::subject::Subject;
use crate::workload::{Family, Nat, Setting};

/// Runs per sample. New flows: as many as there are fresh ones in a sample.
const REPEAT: u32 = 100_000;
/// New flows in a sample: together they stay below what may be half open at a time.
const NEW: u32 = 3000;
/// Samples.
const ROUNDS: u32 = 9;
/// Few enough for the caches, and more than one.
const FEW: u32 = 1000;

/// A program's hook.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hook {
    Xdp,
    Tc,
}

/// What becomes of a frame, in the hook's own numbers (include/uapi/linux/bpf.h, pkt_cls.h).
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;
const TC_ACT_OK: u32 = 0;
const TC_ACT_SHOT: u32 = 2;
const TC_ACT_REDIRECT: u32 = 7;

/// Which packets a program is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Packets {
    /// Of so many flows that are established.
    Established(u32),
    /// Of flows that nobody has opened, again and again: for XDP, which opens none.
    Unknown,
    /// One of each flow, each new.
    New,
    /// From outside, where no rule lets anything in.
    Refused,
}

struct Probe {
    name: &'static str,
    hook: Hook,
    packets: Packets,
    answer: u32,
}

const PROBES: [Probe; 6] = [
    Probe { name: "xdp-established-1k", hook: Hook::Xdp, packets: Packets::Established(FEW), answer: XDP_REDIRECT },
    Probe { name: "xdp-established-100k", hook: Hook::Xdp, packets: Packets::Established(BLOCK), answer: XDP_REDIRECT },
    Probe { name: "xdp-leaves-to-tc", hook: Hook::Xdp, packets: Packets::Unknown, answer: XDP_PASS },
    Probe { name: "tc-established-1k", hook: Hook::Tc, packets: Packets::Established(FEW), answer: TC_ACT_REDIRECT },
    Probe { name: "tc-new-flow", hook: Hook::Tc, packets: Packets::New, answer: TC_ACT_REDIRECT },
    Probe { name: "tc-refused", hook: Hook::Tc, packets: Packets::Refused, answer: TC_ACT_SHOT },
];

/// Measures every program in every case, both families.
///
/// # Errors
/// When something that should work does not, or on Ctrl-C.
pub fn run(run: &Run<'_>) -> Result<()> {
    let plain = Setting { family: Family::V6, nat: Nat::None, ..Setting::masquerade() };
    for (setting, family) in [(Setting::masquerade(), "v4"), (plain, "v6")] {
        for mut rig in run.set_up(&run.wanted(&[Subject::Xdp]), setting)? {
            measure(run, &mut rig, family)?;
        }
    }
    run.say("micro: programs measured");
    Ok(())
}

fn measure(run: &Run<'_>, rig: &mut Rig, family: &str) -> Result<()> {
    rig.path.converse(run.cpu, Range::of(BLOCK)).context("opening the flows")?;
    let targets = rig.daemon.as_ref().context("a daemon")?.programs()?;
    let fd = |name: &str| -> Result<ProgramFd> {
        let id = targets.get(name).with_context(|| format!("the daemon has no program {name}"))?;
        let info = loaded_programs().filter_map(Result::ok).find(|info| info.id() == *id).context("the program is gone")?;
        Ok(info.fd()?)
    };
    let targets = [fd("gateway_xdp")?, fd("gateway_tc")?];
    let nothing = nothing(&mut rig.path)?;
    // IPv6 has the same programs but for the parsing; what a refusal costs does not depend on it.
    let probes: Vec<&Probe> = PROBES.iter().filter(|probe| family == "v4" || probe.packets != Packets::Refused).collect();
    let mut figures: Vec<Figure> = probes
        .iter()
        .map(|probe| {
            let subject = if probe.hook == Hook::Xdp { Subject::Xdp } else { Subject::Tc };
            Figure::new(Metric::ProgramNs, Case::of(format!("{family}-{}", probe.name)), subject)
        })
        .collect();
    for round in 0..ROUNDS {
        for (probe, figure) in probes.iter().zip(&mut figures) {
            run.go_on()?;
            let (index, idle) = if probe.hook == Hook::Xdp { (0, XDP_PASS) } else { (1, TC_ACT_OK) };
            let base = once(run, rig, probe, round, &nothing[index])?;
            ensure!(base.return_value == idle, "{}: nothing answered {}", probe.name, base.return_value);
            let mut whole = once(run, rig, probe, round, &targets[index])?;
            if whole.return_value != probe.answer && matches!(probe.packets, Packets::Established(_)) {
                // A neighbour or a route has changed: each flow is decided anew by a real packet first, as it would be by the next one.
                rig.path.converse(run.cpu, Range::of(BLOCK)).context("bringing the flows up to date")?;
                whole = once(run, rig, probe, round, &targets[index])?;
            }
            let answered = whole.return_value as i32;
            ensure!(whole.return_value == probe.answer, "{}: the program answered {answered} in place of {}", probe.name, probe.answer);
            figure.samples.push(Some(whole.duration.as_nanos() as f64 - base.duration.as_nanos() as f64));
        }
    }
    run.record(figures);
    Ok(())
}

/// The targets that cost nothing, by hook.
fn nothing(path: &mut Path) -> Result<[ProgramFd; 2]> {
    let ebpf = path.object();
    let xdp: &mut Xdp = ebpf.program_mut("bench_nothing").context("the bench's object lacks a program")?.try_into()?;
    xdp.load()?;
    let xdp = xdp.fd()?.try_clone()?;
    let tc: &mut SchedClassifier = ebpf.program_mut("bench_nothing_tc").context("the bench's object lacks a program")?.try_into()?;
    tc.load()?;
    Ok([xdp, tc.fd()?.try_clone()?])
}

/// One sample: stamped frames through one target.
fn once(run: &Run<'_>, rig: &mut Rig, probe: &Probe, round: u32, target: &ProgramFd) -> Result<TestRunResult> {
    let v4 = rig.setting.family == Family::V4;
    let path = &mut rig.path;
    let before = *path.config();
    let (range, repeat, arrival) = match probe.packets {
        Packets::Established(flows) => (Range::of(flows), REPEAT, path.network.inside),
        // Beyond the block that is established.
        Packets::Unknown => (Range { first: 9 * BLOCK, flows: FEW }, REPEAT, path.network.inside),
        Packets::New => (Range { first: BLOCK + round * NEW, flows: NEW }, NEW, path.network.inside),
        Packets::Refused => {
            path.config().template = template_v4(SINK_MAC, OUT_MAC, [10, 88, 0, 0], HOST, false);
            (Range::of(FEW), REPEAT, path.network.outside)
        }
    };
    path.choose(range);
    path.write()?;
    let (table, program) = match (probe.hook, v4) {
        (Hook::Xdp, true) => ("TARGET_XDP", "bench_stamp_xdp"),
        (Hook::Xdp, false) => ("TARGET_XDP", "bench_stamp_xdp_v6"),
        (Hook::Tc, true) => ("TARGET_TC", "bench_stamp_tc"),
        (Hook::Tc, false) => ("TARGET_TC", "bench_stamp_tc_v6"),
    };
    let length = path.frame().len();
    // The kernel looks at the frame before the first stamp: it must be one of Ethernet.
    let mut frame = vec![0; length];
    frame[..6].copy_from_slice(&IN_MAC);
    let room = gateway_tests::Namespace::existing(path.network.gateway.name());
    let ebpf = path.object();
    let mut jump: ProgramArray<&mut MapData> = ebpf.map_mut(table).context("the bench's object lacks a map")?.try_into()?;
    jump.set(0, target, 0).context("the kernel does not let the bench jump into the program")?;
    let result: TestRunResult = room.within(|| -> Result<TestRunResult> {
        run.cpu.pin()?;
        if probe.hook == Hook::Xdp {
            let program: &mut Xdp = ebpf.program_mut(program).context("the bench's object lacks a program")?.try_into()?;
            if program.fd().is_err() {
                program.load()?;
            }
            // `struct xdp_md`: `data_end` at 4, `ingress_ifindex` at 12.
            let mut context = [0u8; 24];
            context[4..8].copy_from_slice(&(length as u32).to_ne_bytes());
            context[12..16].copy_from_slice(&arrival.to_ne_bytes());
            Ok(program.test_run(TestRunOptions { data_in: Some(&frame), ctx_in: Some(&context), repeat, ..Default::default() })?)
        } else {
            let program: &mut SchedClassifier = ebpf.program_mut(program).context("the bench's object lacks a program")?.try_into()?;
            if program.fd().is_err() {
                program.load()?;
            }
            // `struct __sk_buff`: `ifindex` at 40.
            let mut context = [0u8; 192];
            context[40..44].copy_from_slice(&arrival.to_ne_bytes());
            Ok(program.test_run(TestRunOptions { data_in: Some(&frame), ctx_in: Some(&context), repeat, ..Default::default() })?)
        }
    })??;
    *path.config() = before;
    Ok(result)
}
