//! Which maps belong to which address family.

use aya_ebpf::maps::HashMap;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use gateway_ebpf::abi::{Allocation, Bank, Endpoint, EndpointKey, Family, Flow, FlowKey, Mapping, MappingKey, SetBits, SetKey, V4, V6};
use gateway_ebpf::env::Table;

use crate::maps;

/// The kernel matches 32 bits of bank, then the address.
const BANK_BITS: u32 = 32;

/// A family's maps.
pub trait Tables: Family {
    fn flows(table: Table) -> &'static HashMap<FlowKey<Self>, Flow<Self>>;
    fn hosts() -> &'static HashMap<Self::Address, u32>;
    fn hosts_ended() -> &'static HashMap<Self::Address, u32>;
    fn sets(bank: Bank, address: Self::Address) -> Option<&'static SetBits>;
    fn is_own(address: Self::Address) -> bool;
    /// `None` for a family that is not translated.
    fn allocation() -> Option<&'static mut Allocation<Self>>;
    /// `None` for a family that is not translated.
    fn mappings() -> Option<&'static HashMap<MappingKey<Self>, Mapping>>;
    /// `None` for a family that is not translated.
    fn endpoints() -> Option<&'static HashMap<EndpointKey<Self>, Endpoint<Self>>>;
}

#[inline(always)]
fn longest_match<F: Family>(trie: &'static LpmTrie<SetKey<F>, SetBits>, bank: Bank, address: F::Address) -> Option<&'static SetBits> {
    use gateway_ebpf::abi::Address;
    let key = Key::new(BANK_BITS + 8 * F::Address::BYTES as u32, SetKey::<F> { bank, address });
    trie.get(key)
}

impl Tables for V4 {
    #[inline(always)]
    fn flows(table: Table) -> &'static HashMap<FlowKey<Self>, Flow<Self>> {
        match table {
            Table::Main => &maps::FLOWS_V4,
            Table::HalfOpen => &maps::HALF_OPEN_V4,
        }
    }
    #[inline(always)]
    fn hosts() -> &'static HashMap<Self::Address, u32> {
        &maps::HOSTS_V4
    }
    #[inline(always)]
    fn hosts_ended() -> &'static HashMap<Self::Address, u32> {
        &maps::HOSTS_ENDED_V4
    }
    #[inline(always)]
    fn sets(bank: Bank, address: Self::Address) -> Option<&'static SetBits> {
        longest_match::<Self>(&maps::SETS_V4, bank, address)
    }
    #[inline(always)]
    fn is_own(address: Self::Address) -> bool {
        maps::OWN_V4.get_ptr(address).is_some()
    }
    #[inline(always)]
    fn allocation() -> Option<&'static mut Allocation<Self>> {
        // SAFETY: per CPU, and the program is not interrupted by another instance of itself.
        maps::ALLOCATION_V4.get_ptr_mut(0).map(|p| unsafe { &mut *p })
    }
    #[inline(always)]
    fn mappings() -> Option<&'static HashMap<MappingKey<Self>, Mapping>> {
        Some(&maps::MAPPINGS_V4)
    }
    #[inline(always)]
    fn endpoints() -> Option<&'static HashMap<EndpointKey<Self>, Endpoint<Self>>> {
        Some(&maps::ENDPOINTS_V4)
    }
}

impl Tables for V6 {
    #[inline(always)]
    fn flows(table: Table) -> &'static HashMap<FlowKey<Self>, Flow<Self>> {
        match table {
            Table::Main => &maps::FLOWS_V6,
            Table::HalfOpen => &maps::HALF_OPEN_V6,
        }
    }
    #[inline(always)]
    fn hosts() -> &'static HashMap<Self::Address, u32> {
        &maps::HOSTS_V6
    }
    #[inline(always)]
    fn hosts_ended() -> &'static HashMap<Self::Address, u32> {
        &maps::HOSTS_ENDED_V6
    }
    #[inline(always)]
    fn sets(bank: Bank, address: Self::Address) -> Option<&'static SetBits> {
        longest_match::<Self>(&maps::SETS_V6, bank, address)
    }
    #[inline(always)]
    fn is_own(address: Self::Address) -> bool {
        maps::OWN_V6.get_ptr(address).is_some()
    }
    #[inline(always)]
    fn allocation() -> Option<&'static mut Allocation<Self>> {
        None
    }
    #[inline(always)]
    fn mappings() -> Option<&'static HashMap<MappingKey<Self>, Mapping>> {
        None
    }
    #[inline(always)]
    fn endpoints() -> Option<&'static HashMap<EndpointKey<Self>, Endpoint<Self>>> {
        None
    }
}
