//! All structures at one size, filled, and looked into by the bench's programs.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, Map, MapData};
use aya::programs::{ProgramError, TestRun, Xdp};
use aya::sys::SyscallError;
use aya::{Ebpf, EbpfLoader, TestRunOptions};
use gateway_daemon::datapath::{Raw, Shared};
use gateway_ebpf::abi::{Family, FlowKey, V4, V6};
use gateway_ebpf::bench::STRIDE;
use gateway_ebpf::bench::structures::{Key, Look, NOBODY, flow_of};
use gateway_ebpf::table::{self, FlowEntry, Seed};

use crate::structure::{Sought, Structure};

/// Keys are inserted in another order than they are looked up in: a preallocated map takes its elements in the order of their memory. A
/// prime, so that it meets every key.
const ORDER: u32 = 104_729;
/// A map that refuses is asked again, as long as it has not refused more often than so many times the keys that it shall hold.
const PATIENCE: u32 = 4;
/// The LRU hash keeps free elements on a list of each CPU, and evicts when its own is empty: it needs some more than it is to hold.
const LRU_ROOM: u32 = 1024;
/// Nobody attacks a bench.
const SEED: Seed = Seed([0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344]);
/// How often a signal may come in the way of one measurement.
const INTERRUPTIONS: u32 = 8;
/// A frame that the programs do not look at, but the kernel wants.
const FRAME: [u8; 64] = [0; 64];

/// Whether a structure could be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filling {
    /// Everything is in; so many insertions were refused before they succeeded.
    Whole { refused: u32 },
    /// It takes no more.
    Refused { entries: u32, refusals: u32, error: i32 },
}

/// How the filling of each ended.
pub type Fillings = Vec<(Structure, Filling)>;

/// Our tables, mapped.
type Ours = (Shared<FlowEntry<V4>>, Shared<FlowEntry<V6>>);

/// All structures, made for the same number of entries.
pub struct Filled {
    ebpf: Ebpf,
    entries: u32,
    bytes: HashMap<&'static str, u64>,
    /// Held as long as the programs look into them.
    _ours: Option<Ours>,
}

impl Filled {
    /// Makes and fills them with the keys of the numbers from 0 on; that of `spoilt` has its neighbour's value. How each filling ended.
    ///
    /// # Errors
    /// When the kernel refuses a map or a program, or our table a key.
    pub fn new(object: &Path, entries: u32, spoilt: Option<u32>) -> Result<(Self, Fillings)> {
        let buckets = table::capacity(entries);
        let Seed([even, odd]) = SEED;
        let mut loader = EbpfLoader::new();
        for structure in Structure::ALL {
            let elements = match structure {
                Structure::Lru => entries + LRU_ROOM,
                Structure::TableV4 => table::elements::<FlowEntry<V4>>(buckets),
                Structure::TableV6 => table::elements::<FlowEntry<V6>>(buckets),
                _ => entries,
            };
            loader.map_max_entries(structure.map(), elements);
        }
        loader.override_global("LOOK_BUCKETS", &buckets, true);
        loader.override_global("LOOK_SEED_EVEN", &even, true).override_global("LOOK_SEED_ODD", &odd, true);
        let ebpf = loader.load_file(object).with_context(|| format!("cannot load {}", object.display()))?;
        let mut filled = Self { ebpf, entries, bytes: HashMap::new(), _ours: None };
        let mut fillings = Vec::new();
        for structure in Structure::ALL {
            let filling = match structure.filler() {
                Some(filler) => filled.fill(filler, spoilt)?,
                None => Filling::Whole { refused: 0 },
            };
            fillings.push((structure, filling));
            let bytes = filled.memory(structure.map())?;
            filled.bytes.insert(structure.name(), bytes);
        }
        let v4 = ours(&mut filled.ebpf, Structure::TableV4, entries, spoilt)?;
        filled._ours = Some((v4, ours(&mut filled.ebpf, Structure::TableV6, entries, spoilt)?));
        Ok((filled, fillings))
    }

    /// The memory that the kernel counts for the structure, by entry.
    #[must_use]
    pub fn bytes_per_entry(&self, structure: Structure) -> f64 {
        self.bytes.get(structure.name()).map_or(0.0, |bytes| *bytes as f64 / f64::from(self.entries))
    }

    /// Nanoseconds of one run of a program that looks up, or of one that does all but that. The walk begins at the key `begin`.
    ///
    /// # Errors
    /// When an answer was wrong.
    pub fn walk(&mut self, program: &'static str, sought: Sought, begin: u32, runs: u32) -> Result<f64> {
        self.ask(program, sought, sought, begin, runs)
    }

    /// The same; whatever is sought, right is what `expected` says.
    ///
    /// # Errors
    /// When an answer was wrong.
    pub fn ask(&mut self, program: &'static str, sought: Sought, expected: Sought, begin: u32, runs: u32) -> Result<f64> {
        let look = Look {
            first: if sought == Sought::Present { 0 } else { self.entries },
            keys: self.entries,
            stride: STRIDE % self.entries,
            next: begin % self.entries,
            present: u32::from(expected == Sought::Present),
            spoilt: NOBODY,
            ..Look::default()
        };
        let (nanoseconds, look) = self.run(program, look, runs)?;
        let Look { right, wrong, .. } = look;
        ensure!(wrong == 0 && right == runs, "{program}: of {runs} answers {right} were right, {wrong} wrong");
        Ok(nanoseconds)
    }

    fn fill(&mut self, filler: &'static str, spoilt: Option<u32>) -> Result<Filling> {
        let keys = self.entries;
        let mut look = Look { keys, stride: ORDER % keys, spoilt: spoilt.unwrap_or(NOBODY), ..Look::default() };
        while look.right < keys {
            let runs = keys - look.right;
            // Interrupted, it goes on: what it has inserted is there.
            look = match self.try_run(filler, look, runs)? {
                Some((_, look)) => look,
                None => self.look()?.get(&0, 0)?.0,
            };
            if look.wrong / PATIENCE > keys {
                return Ok(Filling::Refused { entries: look.right, refusals: look.wrong, error: -look.refusal });
            }
        }
        Ok(Filling::Whole { refused: look.wrong })
    }

    /// Nanoseconds of one run, and what came of all of them. The kernel gives up when a signal comes: then they are begun anew.
    fn run(&mut self, program: &'static str, look: Look, runs: u32) -> Result<(f64, Look)> {
        for _ in 0..INTERRUPTIONS {
            if let Some(outcome) = self.try_run(program, look, runs)? {
                return Ok(outcome);
            }
        }
        anyhow::bail!("{program} was interrupted by signals {INTERRUPTIONS} times")
    }

    fn try_run(&mut self, program: &'static str, look: Look, runs: u32) -> Result<Option<(f64, Look)>> {
        self.look()?.set(0, Raw(look), 0)?;
        let name = program;
        let program: &mut Xdp = self.ebpf.program_mut(name).context("the bench's object lacks a program")?.try_into()?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("the kernel refuses {name}"))?;
        }
        match program.test_run(TestRunOptions { data_in: Some(&FRAME), repeat: runs, ..Default::default() }) {
            Ok(result) => Ok(Some((result.duration.as_nanos() as f64, self.look()?.get(&0, 0)?.0))),
            Err(ProgramError::SyscallError(SyscallError { io_error, .. })) if io_error.kind() == ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn look(&mut self) -> Result<Array<&mut MapData, Raw<Look>>> {
        Ok(self.ebpf.map_mut("LOOK").context("the bench's object lacks a map")?.try_into()?)
    }

    /// The bytes of a map, as `/proc` tells them of its descriptor.
    fn memory(&self, map: &str) -> Result<u64> {
        let map = self.ebpf.map(map).context("the bench's object lacks a map")?;
        let (Map::HashMap(data) | Map::LruHashMap(data) | Map::Array(data)) = map else {
            anyhow::bail!("the bench's object has a map of another kind");
        };
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", data.fd().as_fd().as_raw_fd()))?;
        let bytes = text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok());
        bytes.context("the kernel does not tell how much memory a map takes")
    }
}

/// Fills our table as the daemon does.
fn ours<F: Family>(ebpf: &mut Ebpf, structure: Structure, entries: u32, spoilt: Option<u32>) -> Result<Shared<FlowEntry<F>>>
where
    FlowKey<F>: Key,
{
    let mut shared = Shared::take(ebpf, structure.map(), table::capacity(entries), SEED)?;
    let mut number = 0;
    for _ in 0..entries {
        let value = flow_of(if spoilt == Some(number) { number + 1 } else { number });
        ensure!(shared.set(FlowKey::of(number), value), "{structure} refuses key {number} of {entries}");
        number = (number + ORDER % entries) % entries;
    }
    Ok(shared)
}
