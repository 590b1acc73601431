//! The loaded programs, run on one frame at a time by `BPF_PROG_TEST_RUN`.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use anyhow::{Context, Result};
use aya::maps::lpm_trie::Key;
use aya::programs::{ProgramError, TestRun, TestRunOptions};
use gateway_daemon::datapath::{Capacity, FamilyMaps, Loaded, Raw, Shared, Table};
use gateway_ebpf::abi::{Abi, Family, IfIndex, Ipv4, Ipv6, Reason, Rule, SetKey, V4, V6};
use gateway_ebpf::table::{Entry, FlowEntry, Seed};
use gateway_tests::world::{Capacities, PolicyTables, START_NS, words};

/// Larger than every frame that is sent.
const ROOM: usize = 4096;

/// What a hook did with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It leaves.
    Forward,
    /// It is discarded.
    Drop,
    /// The kernel's stack, or the next hook, gets it.
    Pass,
}

/// The tables' seed: the same on both sides, so that they are full at the same time.
const SEED: Seed = Seed([0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210]);

/// The kernel's side.
pub struct Kernel {
    loaded: Loaded,
}

impl Kernel {
    /// Loads the programs with a clock that stands still at the worlds' beginning.
    ///
    /// # Errors
    /// The kernel's.
    pub fn load(flows: u32) -> Result<Self> {
        Ok(Self { loaded: Loaded::new(Capacity { flows }, SEED, START_NS)? })
    }

    /// The sizes of its tables, for a world of the same.
    #[must_use]
    pub fn capacities(flows: u32) -> Capacities {
        let entries = |capacity: Capacity| [capacity.flows as usize * 2, capacity.half_open() as usize * 2];
        let [v4, half_open] = entries(Capacity { flows });
        let v6 = Some(entries(Capacity { flows }.v6()));
        let flows = flows as usize;
        Capacities { flows: v4, half_open, v6, mappings: flows, endpoints: flows, hosts: 65_536, seed: Some(SEED) }
    }

    /// Writes what a daemon would write.
    ///
    /// # Errors
    /// The kernel's.
    pub fn write(&mut self, policy: &PolicyTables, before: Option<&PolicyTables>) -> Result<()> {
        let maps = &mut self.loaded.maps;
        for (index, rule) in (0..).zip(&policy.rules) {
            if before.map_or(*rule != Rule::default(), |before| before.rules[index as usize] != *rule) {
                maps.rules.set(index, Raw(*rule), 0)?;
            }
        }
        for (index, interface) in (0..).zip(&policy.interfaces) {
            if before.map_or(interface.index.0 != 0, |before| before.interfaces[index as usize] != *interface) {
                maps.interfaces.set(index, Raw(*interface), 0)?;
            }
        }
        for (index, address) in (0..).zip(&policy.pool).filter(|(_, address)| address.0 != 0) {
            maps.pool.set(index, Raw(*address), 0)?;
        }
        for (index, header) in (0..).zip(&policy.banks) {
            maps.banks.set(index, Raw(*header), 0)?;
        }
        for (bank, prefix, bits) in &policy.sets {
            let length = 32 + u32::from(prefix.prefix_len());
            let words = words(prefix.addr());
            match prefix.addr() {
                IpAddr::V4(_) => {
                    let key = SetKey::<V4> { bank: *bank, address: Ipv4(words[0]) };
                    maps.v4.sets.insert(&Key::new(length, Raw(key)), Raw(*bits), 0)?;
                }
                IpAddr::V6(_) => {
                    let key = SetKey::<V6> { bank: *bank, address: Ipv6(words) };
                    maps.v6.sets.insert(&Key::new(length, Raw(key)), Raw(*bits), 0)?;
                }
            }
        }
        for own in &policy.own {
            match own {
                IpAddr::V4(_) => maps.v4.own.set(Ipv4(words(*own)[0]), 1)?,
                IpAddr::V6(_) => maps.v6.own.set(Ipv6(words(*own)), 1)?,
            }
        }
        maps.config.set(0, Raw(policy.config), 0).context("config")?;
        Ok(())
    }

    /// tc ingress. `None`: the kernel's test run does not take such a frame.
    ///
    /// # Errors
    /// The kernel's.
    pub fn tc(&mut self, frame: &[u8], arrival: IfIndex, gso_size: u16) -> Result<Option<(Verdict, Vec<u8>)>> {
        // include/uapi/linux/bpf.h, `struct __sk_buff`: `ifindex` at 40, `gso_size` at 176.
        let mut context = [0u8; 192];
        context[40..44].copy_from_slice(&arrival.0.to_ne_bytes());
        context[176..180].copy_from_slice(&u32::from(gso_size).to_ne_bytes());
        let Some((code, out)) = run(self.loaded.tc()?, frame, &context)? else { return Ok(None) };
        let verdict = match code {
            0 => Verdict::Pass,
            2 => Verdict::Drop,
            7 => Verdict::Forward,
            other => anyhow::bail!("tc answered {other}"),
        };
        Ok(Some((verdict, out)))
    }

    /// XDP. `None`: the kernel's test run does not take such a frame.
    ///
    /// # Errors
    /// The kernel's.
    pub fn xdp(&mut self, frame: &[u8], arrival: IfIndex) -> Result<Option<(Verdict, Vec<u8>)>> {
        // `struct xdp_md`: `data_end` at 4, `ingress_ifindex` at 12.
        let mut context = [0u8; 24];
        context[4..8].copy_from_slice(&(frame.len() as u32).to_ne_bytes());
        context[12..16].copy_from_slice(&arrival.0.to_ne_bytes());
        let Some((code, out)) = run(self.loaded.xdp()?, frame, &context)? else { return Ok(None) };
        let verdict = match code {
            1 => Verdict::Drop,
            2 => Verdict::Pass,
            4 => Verdict::Forward,
            other => anyhow::bail!("XDP answered {other}"),
        };
        Ok(Some((verdict, out)))
    }

    /// Makes every half-open flow older by so many ticks: the programs' clock cannot be moved once they are loaded.
    pub fn age(&mut self, ticks: u32) {
        age(&mut self.loaded.maps.v4.half_open, ticks);
        age(&mut self.loaded.maps.v6.half_open, ticks);
    }

    /// Everything packets change.
    #[must_use]
    pub fn maps(&self) -> &gateway_daemon::datapath::Maps {
        &self.loaded.maps
    }

    /// How often each reason was counted.
    ///
    /// # Errors
    /// The kernel's.
    pub fn reasons(&self) -> Result<Vec<u64>> {
        (0..Reason::LEN).map(|index| Ok(self.loaded.maps.reasons.get(&index, 0)?.iter().sum())).collect()
    }

    /// How often a rule has matched.
    ///
    /// # Errors
    /// The kernel's.
    pub fn rule_hits(&self, rule: u16) -> Result<u64> {
        Ok(self.loaded.maps.rule_hits.get(&u32::from(rule), 0)?.iter().sum())
    }
}

/// All entries of a table.
///
/// # Errors
/// The kernel's.
pub fn entries<K: Abi + Default + Hash + Eq, V: Abi + Default>(table: &Table<K, V>) -> Result<HashMap<K, V>> {
    let mut all = HashMap::new();
    table.for_each(|key, value| {
        all.insert(key, value);
    })?;
    Ok(all)
}

/// All entries of a table that the programs share.
#[must_use]
pub fn shared<E: Entry<Key: Hash + Eq>>(table: &Shared<E>) -> HashMap<E::Key, E::Value> {
    let mut all = HashMap::new();
    table.for_each(|key, value| {
        all.insert(key, value);
    });
    all
}

/// A family's tables, by name.
pub type Flows<'a, F> = [(&'static str, &'a Shared<FlowEntry<F>>); 2];

/// A family's flow tables.
#[must_use]
pub fn flows<F: Family>(maps: &FamilyMaps<F>) -> Flows<'_, F>
where
    SetKey<F>: Abi,
{
    [("flows", &maps.flows), ("half-open flows", &maps.half_open)]
}

fn age<F: Family>(table: &mut Shared<FlowEntry<F>>, ticks: u32) {
    for (key, mut flow) in shared(table) {
        flow.last_seen.0 -= ticks;
        table.set(key, flow);
    }
}

fn run<'p, P>(program: &'p P, frame: &[u8], context: &[u8]) -> Result<Option<(u32, Vec<u8>)>>
where
    P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = aya::programs::TestRunResult>,
{
    let mut out = vec![0; ROOM];
    let options = TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), ctx_in: Some(context), ..Default::default() };
    match program.test_run(options) {
        Ok(result) => {
            out.truncate(result.data_size_out as usize);
            Ok(Some((result.return_value, out)))
        }
        Err(ProgramError::SyscallError(error)) if error.io_error.kind() == std::io::ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error).context("the kernel cannot run the program on a frame"),
    }
}
