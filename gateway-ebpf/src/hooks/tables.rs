//! Which maps belong to which address family.

use aya_ebpf::maps::HashMap;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use gateway_ebpf::abi::{
    Allocation, Bank, Endpoint, EndpointKey, Family, Flow, FlowKey, FlowState, Mapping, MappingKey, Port, SetBits, SetKey, Tick, V4, V6,
};
use gateway_ebpf::env::{Insert, Table};
use gateway_ebpf::table::Memory;

use super::places::{self, Words, number, outcome};

use crate::maps;

/// The kernel matches 32 bits of bank, then the address.
const BANK_BITS: u32 = 32;

/// A family's maps.
pub trait Tables: Family {
    /// The table of established flows.
    type Flows: Memory<Slot = Words>;
    const FLOWS: Self::Flows;
    fn read_flow(table: Table, key: &FlowKey<Self>, flow: &mut Flow<Self>) -> bool;
    fn has_flow(table: Table, key: &FlowKey<Self>) -> bool;
    fn insert_flow(table: Table, key: &FlowKey<Self>, flow: &Flow<Self>) -> Insert;
    fn replace_flow(table: Table, key: &FlowKey<Self>, flow: &Flow<Self>);
    fn set_state(table: Table, key: &FlowKey<Self>, state: FlowState);
    fn remove_flow(table: Table, key: &FlowKey<Self>);
    fn hosts() -> &'static HashMap<Self::Address, u32>;
    fn hosts_ended() -> &'static HashMap<Self::Address, u32>;
    fn sets(bank: Bank, address: Self::Address) -> Option<&'static SetBits>;
    fn is_own(address: Self::Address) -> bool;
    /// `None` for a family that is not translated.
    fn allocation() -> Option<&'static mut Allocation<Self>>;
    // A family that is not translated has no mappings: nothing is found, and there is no room.
    fn use_mapping(key: &MappingKey<Self>, now: Tick) -> Option<Port>;
    fn insert_mapping(key: &MappingKey<Self>, mapping: &Mapping) -> Insert;
    fn remove_mapping(key: &MappingKey<Self>);
    fn endpoint(key: &EndpointKey<Self>) -> Option<Endpoint<Self>>;
    fn insert_endpoint(key: &EndpointKey<Self>, endpoint: &Endpoint<Self>) -> Insert;
    fn remove_endpoint(key: &EndpointKey<Self>);
}

#[inline(always)]
fn longest_match<F: Family>(trie: &'static LpmTrie<SetKey<F>, SetBits>, bank: Bank, address: F::Address) -> Option<&'static SetBits> {
    use gateway_ebpf::abi::Address;
    let key = Key::new(BANK_BITS + 8 * F::Address::BYTES as u32, SetKey::<F> { bank, address });
    trie.get(key)
}

macro_rules! flow_calls {
    ($flows:ident, $read:ident, $has:ident, $insert:ident, $replace:ident, $set_state:ident, $remove:ident) => {
        type Flows = places::$flows;
        const FLOWS: Self::Flows = places::$flows;
        #[inline(always)]
        fn read_flow(table: Table, key: &FlowKey<Self>, flow: &mut Flow<Self>) -> bool {
            places::$read(number(table), key, flow) != 0
        }
        #[inline(always)]
        fn has_flow(table: Table, key: &FlowKey<Self>) -> bool {
            places::$has(number(table), key) != 0
        }
        #[inline(always)]
        fn insert_flow(table: Table, key: &FlowKey<Self>, flow: &Flow<Self>) -> Insert {
            outcome(places::$insert(number(table), key, flow))
        }
        #[inline(always)]
        fn replace_flow(table: Table, key: &FlowKey<Self>, flow: &Flow<Self>) {
            places::$replace(number(table), key, flow);
        }
        #[inline(always)]
        fn set_state(table: Table, key: &FlowKey<Self>, state: FlowState) {
            places::$set_state(number(table), key, state.0 as u32);
        }
        #[inline(always)]
        fn remove_flow(table: Table, key: &FlowKey<Self>) {
            places::$remove(number(table), key);
        }
    };
}

impl Tables for V4 {
    flow_calls!(FlowsV4, flow_v4_read, flow_v4_has, flow_v4_insert, flow_v4_replace, flow_v4_set_state, flow_v4_remove);
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
    fn use_mapping(key: &MappingKey<Self>, now: Tick) -> Option<Port> {
        let port = places::mapping_use(key, now.0);
        (port & places::PORT != 0).then_some(Port::from_wire(port as u16))
    }
    #[inline(always)]
    fn insert_mapping(key: &MappingKey<Self>, mapping: &Mapping) -> Insert {
        outcome(places::mapping_insert(key, mapping))
    }
    #[inline(always)]
    fn remove_mapping(key: &MappingKey<Self>) {
        places::mapping_remove(key);
    }
    #[inline(always)]
    fn endpoint(key: &EndpointKey<Self>) -> Option<Endpoint<Self>> {
        let mut endpoint = Endpoint::default();
        (places::endpoint_read(key, &mut endpoint) != 0).then_some(endpoint)
    }
    #[inline(always)]
    fn insert_endpoint(key: &EndpointKey<Self>, endpoint: &Endpoint<Self>) -> Insert {
        outcome(places::endpoint_insert(key, endpoint))
    }
    #[inline(always)]
    fn remove_endpoint(key: &EndpointKey<Self>) {
        places::endpoint_remove(key);
    }
}

impl Tables for V6 {
    flow_calls!(FlowsV6, flow_v6_read, flow_v6_has, flow_v6_insert, flow_v6_replace, flow_v6_set_state, flow_v6_remove);
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
    fn use_mapping(_: &MappingKey<Self>, _: Tick) -> Option<Port> {
        None
    }
    #[inline(always)]
    fn insert_mapping(_: &MappingKey<Self>, _: &Mapping) -> Insert {
        Insert::Full
    }
    #[inline(always)]
    fn remove_mapping(_: &MappingKey<Self>) {}
    #[inline(always)]
    fn endpoint(_: &EndpointKey<Self>) -> Option<Endpoint<Self>> {
        None
    }
    #[inline(always)]
    fn insert_endpoint(_: &EndpointKey<Self>, _: &Endpoint<Self>) -> Insert {
        Insert::Full
    }
    #[inline(always)]
    fn remove_endpoint(_: &EndpointKey<Self>) {}
}
