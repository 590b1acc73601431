//! Each loaded program by itself: nanoseconds per packet under `BPF_PROG_TEST_RUN`.
//!
//! The programs are those that the daemon has loaded, with its tables, under a real policy, and flows that real packets have opened.
//! A program of the bench stamps a fresh frame and jumps into them (`gateway-ebpf/src/bench/programs/stamped.rs`).

use anyhow::{Context, Result, ensure};
use aya::TestRunOptions;
use aya::maps::{MapData, ProgramArray};
use aya::programs::{ProgramFd, SchedClassifier, TestRun, TestRunResult, Xdp, loaded_programs};
use gateway_ebpf::bench::{BLOCK, HOSTS, PORTS, TTL, template_v4};

use crate::counts::Counts;
use crate::figure::{Case, Figure, Metric};
use crate::fresh::Fresh;
use crate::network::{HOST, IN_MAC, OUT_MAC, SINK_MAC};
use crate::path::{Path, Range};
use crate::rig::Rig;
use crate::run::Run;
use crate::subject::Subject;
use crate::workload::{Family, Nat, Setting};

/// Runs per sample. New flows: as many as there are fresh ones in a sample.
const REPEAT: u32 = 100_000;
/// New flows in a sample. All samples' together fill little more than half of the 32,768 places for flows that are not answered yet: at
/// 27,000 some find every place of theirs taken, and are refused.
const NEW: u32 = 2000;
/// Samples.
const ROUNDS: usize = 9;
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

impl Packets {
    /// The hop limit that a frame is left with: whoever forwards it lowers it, and nobody else does.
    fn left(self) -> u32 {
        u32::from(TTL) - u32::from(matches!(self, Self::Established(_) | Self::New))
    }
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
    let mut fresh = Fresh::default();
    // The endpoints of the first block have their mappings.
    fresh.next(HOSTS * PORTS)?;
    for round in 0..ROUNDS {
        let new = fresh.next(NEW)?;
        for (probe, figure) in probes.iter().zip(&mut figures) {
            run.go_on()?;
            run.doing(format!("micro: {family}-{}, sample {} of {ROUNDS}", probe.name, round + 1));
            let (index, idle) = if probe.hook == Hook::Xdp { (0, XDP_PASS) } else { (1, TC_ACT_OK) };
            let base = once(run, rig, probe, new, &nothing[index], u32::from(TTL))?;
            base.judge(idle).with_context(|| format!("{}: nothing at all", probe.name))?;
            let mut whole = once(run, rig, probe, new, &targets[index], probe.packets.left())?;
            if let (Err(error), Packets::Established(_)) = (whole.judge(probe.answer), probe.packets) {
                // A neighbour or a route has changed: each flow is decided anew by a real packet first, as it would be by the next one.
                run.say(&format!("micro: {family}-{} is repeated: {error:#}", probe.name));
                rig.path.converse(run.cpu, Range::of(BLOCK)).context("bringing the flows up to date")?;
                whole = once(run, rig, probe, new, &targets[index], probe.packets.left())?;
            }
            whole.judge(probe.answer).with_context(|| format!("{}: the program", probe.name))?;
            figure.samples.push(Some(whole.nanoseconds - base.nanoseconds));
        }
        run.say(&format!("micro: programs, {family}: sample {} of {ROUNDS}", round + 1));
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

/// What a sample gave.
struct Outcome {
    /// Of one repetition.
    nanoseconds: f64,
    /// How often the frame was stamped.
    repeat: u32,
    /// Repetitions that left the frame as they should.
    left: u64,
    /// The last repetition's answer.
    answer: u32,
}

impl Outcome {
    /// That every repetition gave this answer: the last one by the kernel's word, those before by what they have left of the frame.
    fn judge(&self, answer: u32) -> Result<()> {
        ensure!(self.answer == answer, "the last repetition answered {} in place of {answer}", self.answer as i32);
        let before = u64::from(self.repeat) - 1;
        ensure!(self.left == before, "{} of {before} repetitions left the frame as it should be", self.left);
        Ok(())
    }
}

/// One sample: stamped frames through one target, which leaves them with the hop limit `left`.
fn once(run: &Run<'_>, rig: &mut Rig, probe: &Probe, new: Range, target: &ProgramFd, left: u32) -> Result<Outcome> {
    let v4 = rig.setting.family == Family::V4;
    let path = &mut rig.path;
    let before = *path.config();
    let (range, repeat, arrival) = match probe.packets {
        Packets::Established(flows) => (Range::of(flows), REPEAT, path.network.inside),
        // Beyond the block that is established.
        Packets::Unknown => (Range { first: 9 * BLOCK, flows: FEW }, REPEAT, path.network.inside),
        Packets::New => (new, NEW, path.network.inside),
        Packets::Refused => {
            path.config().template = template_v4(SINK_MAC, OUT_MAC, [10, 88, 0, 0], HOST, false);
            (Range::of(FEW), REPEAT, path.network.outside)
        }
    };
    path.config().ttl = left;
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
    let counted = Counts::read(ebpf)?;
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
    let left = Counts::read(ebpf)?.since(&counted).left;
    *path.config() = before;
    Ok(Outcome { nanoseconds: result.duration.as_nanos() as f64, repeat, left, answer: result.return_value })
}
