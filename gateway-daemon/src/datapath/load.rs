//! From the object to loaded programs and typed maps.

use std::num::NonZero;
use std::sync::Mutex;
use std::thread;

use aya::programs::{Program, ProgramError, ProgramFd, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use gateway_ebpf::abi::{V4, V6};
use gateway_ebpf::table::{self, EndpointEntry, FlowEntry, MappingEntry, Seed};

use super::error::DatapathError;
use super::maps::Maps;
use super::raw::OBJECT;

/// How large the tables are, in flows. Each flow has two entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Established IPv4 flows. IPv6 has a quarter of them: its entries are twice as large, and most overlays have none.
    pub flows: u32,
}

/// Buckets of a family's tables of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// Of established flows.
    pub flows: u32,
    /// Of half-open ones.
    pub half_open: u32,
}

impl Capacity {
    /// Half-open flows: an eighth, and not so few that a page's worth of parallel connections fills them.
    #[must_use]
    pub const fn half_open(self) -> u32 {
        let eighth = self.flows / 8;
        if eighth < 1024 { 1024 } else { eighth }
    }

    /// Of IPv6.
    #[must_use]
    pub const fn v6(self) -> Self {
        Self { flows: self.flows.div_ceil(4) }
    }

    const fn buckets(self) -> Buckets {
        Buckets { flows: table::capacity(self.flows.saturating_mul(2)), half_open: table::capacity(self.half_open().saturating_mul(2)) }
    }

    /// What IPv4 has.
    #[must_use]
    pub const fn buckets_v4(self) -> Buckets {
        self.buckets()
    }

    /// What IPv6 has.
    #[must_use]
    pub const fn buckets_v6(self) -> Buckets {
        self.v6().buckets()
    }

    /// What the tables of mappings and of external endpoints have: one of each per IPv4 flow.
    #[must_use]
    pub const fn mapping_buckets(self) -> u32 {
        table::capacity(self.flows)
    }
}

/// Loaded programs and their maps. Dropping it detaches and frees everything.
pub struct Loaded {
    ebpf: Ebpf,
    /// The maps.
    pub maps: Maps,
    /// The table through which the tc programs reach each other; held, because the kernel empties it when its last holder is gone.
    _programs: aya::maps::ProgramArray<aya::maps::MapData>,
}

/// The program of XDP.
pub const XDP: &str = "gateway_xdp";
/// The program of tc and its slow paths, in the order of their table.
pub const TC: [&str; 5] = ["gateway_tc", "gateway_hit_v4", "gateway_open_v4", "gateway_hit_v6", "gateway_open_v6"];
/// The order in which they are verified: what takes the verifier longest first, so that no processor is left with it alone at the end.
const VERIFIED: [&str; 6] = [TC[1], TC[2], TC[3], TC[4], XDP, TC[0]];

impl Loaded {
    /// Loads and verifies every program. `seed`: nobody else may know it. `fixed_now`: nanoseconds in place of the clock, for tests; 0
    /// for the clock.
    ///
    /// # Errors
    /// The kernel refuses the object.
    pub fn new(capacity: Capacity, seed: Seed, fixed_now: u64) -> Result<Self, DatapathError> {
        let (v4, v6, mappings) = (capacity.buckets_v4(), capacity.buckets_v6(), capacity.mapping_buckets());
        let Seed([even, odd]) = seed;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("FLOWS_V4", table::elements::<FlowEntry<V4>>(v4.flows))
            .map_max_entries("FLOWS_V6", table::elements::<FlowEntry<V6>>(v6.flows))
            .map_max_entries("HALF_OPEN_V4", table::elements::<FlowEntry<V4>>(v4.half_open))
            .map_max_entries("HALF_OPEN_V6", table::elements::<FlowEntry<V6>>(v6.half_open))
            .map_max_entries("MAPPINGS_V4", table::elements::<MappingEntry>(mappings))
            .map_max_entries("ENDPOINTS_V4", table::elements::<EndpointEntry>(mappings))
            .override_global("FLOW_BUCKETS_V4", &v4.flows, true)
            .override_global("FLOW_BUCKETS_V6", &v6.flows, true)
            .override_global("HALF_OPEN_BUCKETS_V4", &v4.half_open, true)
            .override_global("HALF_OPEN_BUCKETS_V6", &v6.half_open, true)
            .override_global("MAPPING_BUCKETS", &mappings, true)
            .override_global("SEED_EVEN", &even, true)
            .override_global("SEED_ODD", &odd, true)
            .override_global("FIXED_NOW", &fixed_now, true)
            .load(OBJECT)?;
        verify(&mut ebpf)?;
        let mut programs: aya::maps::ProgramArray<_> =
            ebpf.take_map("PROGRAMS").ok_or(DatapathError::Object { what: "PROGRAMS" })?.try_into()?;
        for (index, name) in (0..).zip(TC) {
            let fd: &ProgramFd = classifier(&mut ebpf, name)?.fd().map_err(|source| refused(name, source))?;
            let fd = fd.try_clone().map_err(|source| DatapathError::Walk { source })?;
            programs.set(index, &fd, 0)?;
        }
        let maps = Maps::take(&mut ebpf, capacity, seed)?;
        Ok(Self { ebpf, maps, _programs: programs })
    }

    /// The tc program that is attached.
    ///
    /// # Errors
    /// The object lacks it.
    pub fn tc(&mut self) -> Result<&mut SchedClassifier, DatapathError> {
        classifier(&mut self.ebpf, TC[0])
    }

    /// The tc program of that name.
    ///
    /// # Errors
    /// The object lacks it.
    pub fn classifier(&mut self, name: &'static str) -> Result<&mut SchedClassifier, DatapathError> {
        classifier(&mut self.ebpf, name)
    }

    /// The XDP program.
    ///
    /// # Errors
    /// The object lacks it.
    pub fn xdp(&mut self) -> Result<&mut Xdp, DatapathError> {
        xdp(&mut self.ebpf)
    }
}

/// Has the kernel verify every program, as many at the same time as there are processors: it is by far the longest part of a start.
///
/// The first refusal in the order of [`VERIFIED`] is the one that is told; programs not yet begun are left alone after any.
fn verify(ebpf: &mut Ebpf) -> Result<(), DatapathError> {
    if let Some(what) = VERIFIED.into_iter().find(|name| ebpf.program(name).is_none()) {
        return Err(DatapathError::Object { what });
    }
    let mut waiting: Vec<(usize, &mut Program)> = Vec::new();
    for (name, program) in ebpf.programs_mut() {
        waiting.extend(VERIFIED.iter().position(|known| *known == name).map(|rank| (rank, program)));
    }
    // Taken from the end.
    waiting.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(waiting.len());
    let waiting = Mutex::new(waiting);
    let work = || {
        loop {
            let (rank, program) = waiting.lock().ok()?.pop()?;
            if let Err(error) = verify_one(program) {
                waiting.lock().ok()?.clear();
                return Some((rank, error));
            }
        }
    };
    let first = thread::scope(|scope| {
        // What cannot be had as a thread is done by this one.
        let others: Vec<_> = (1..threads).filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        let own = work();
        let refusals = others.into_iter().filter_map(|other| other.join().ok().flatten()).chain(own);
        refusals.min_by_key(|(rank, _)| *rank)
    });
    first.map_or(Ok(()), |(rank, source)| Err(refused(VERIFIED[rank], source)))
}

fn verify_one(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::SchedClassifier(program) => program.load(),
        Program::Xdp(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn classifier<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut SchedClassifier, DatapathError> {
    let program = ebpf.program_mut(name).ok_or(DatapathError::Object { what: name })?;
    program.try_into().map_err(|source| refused(name, source))
}

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, DatapathError> {
    let program = ebpf.program_mut(XDP).ok_or(DatapathError::Object { what: XDP })?;
    program.try_into().map_err(|source| refused(XDP, source))
}

fn refused(what: &str, source: ProgramError) -> DatapathError {
    DatapathError::Program { what: format!("the program {what}"), source }
}
