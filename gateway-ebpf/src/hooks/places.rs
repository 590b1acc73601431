//! The tables of flows and mappings, and what the slow paths do with them.
//!
//! The operations are global functions: the verifier walks each of them once, for any key, and not once per call and path that leads
//! there. Their arguments are plain numbers and structures of known size, which is what it needs for that (kernel/bpf/btf.c,
//! `btf_prepare_func_args`). A pointer may be null for all it knows.

use core::intrinsics::{AtomicOrdering, atomic_and, atomic_cxchg, atomic_or};

use gateway_ebpf::abi::{Endpoint, EndpointKey, Flow, FlowKey, FlowState, Mapping, MappingKey, Tick, V4, V6};
use gateway_ebpf::env::Table;
use gateway_ebpf::table::{self, EndpointEntry, FlowEntry, Found, Guard, Insert, MappingEntry, Memory, Seed, Slot};

use crate::maps;

/// A slot's memory.
#[derive(Clone, Copy)]
pub struct Words(*mut u32);

impl Slot for Words {
    #[inline(always)]
    fn load(self, word: usize) -> u32 {
        // SAFETY: within the array element, which lives as long as the program; the verifier checks it. Volatile: others write it.
        unsafe { self.0.add(word).read_volatile() }
    }

    #[inline(always)]
    fn store(self, word: usize, value: u32) {
        // SAFETY: as above.
        unsafe { self.0.add(word).write_volatile(value) }
    }

    #[inline(always)]
    fn set(self, word: usize, bits: u32) {
        // SAFETY: as above. What was there is not asked for, so that one instruction does it; an exchange of the guard follows, as a barrier.
        unsafe { atomic_or::<u32, u32, { AtomicOrdering::Relaxed }>(self.0.add(word), bits) };
    }

    #[inline(always)]
    fn clear(self, word: usize, bits: u32) {
        // SAFETY: as above.
        unsafe { atomic_and::<u32, u32, { AtomicOrdering::Relaxed }>(self.0.add(word), !bits) };
    }

    #[inline(always)]
    fn exchange(self, old: Guard, new: Guard) -> bool {
        // SAFETY: as above. The target has no `AtomicU32`, though its instruction set has the exchange: v3, Linux 5.12.
        unsafe { atomic_cxchg::<u32, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(self.0, old.0, new.0).1 }
    }

    #[inline(always)]
    fn nth(self, slot: u32, words: usize) -> Self {
        // SAFETY: as above.
        Self(unsafe { self.0.add(slot as usize * words) })
    }
}

macro_rules! shelves {
    ($($(#[$doc:meta])* $name:ident: $map:ident, $buckets:ident;)*) => {
        $($(#[$doc])*
        pub struct $name;

        impl Memory for $name {
            type Slot = Words;

            #[inline(always)]
            fn buckets(&self) -> u32 {
                maps::$buckets.load()
            }

            #[inline(always)]
            fn seed(&self) -> Seed {
                Seed([maps::SEED_EVEN.load(), maps::SEED_ODD.load()])
            }

            #[inline(always)]
            fn bucket(&self, index: u32) -> Option<Words> {
                maps::$map.get_ptr_mut(index).map(|bucket| Words(bucket.cast()))
            }
        })*
    };
}

shelves! {
    /// IPv4 flows in which both sides have spoken.
    FlowsV4: FLOWS_V4, FLOW_BUCKETS_V4;
    /// IPv6 flows in which both sides have spoken.
    FlowsV6: FLOWS_V6, FLOW_BUCKETS_V6;
    /// Half-open IPv4 flows.
    HalfOpenV4: HALF_OPEN_V4, HALF_OPEN_BUCKETS_V4;
    /// Half-open IPv6 flows.
    HalfOpenV6: HALF_OPEN_V6, HALF_OPEN_BUCKETS_V6;
    /// Mappings.
    Mappings: MAPPINGS_V4, MAPPING_BUCKETS;
    /// External endpoints.
    Endpoints: ENDPOINTS_V4, MAPPING_BUCKETS;
}

/// [`Table`] as a number.
#[inline(always)]
pub const fn number(table: Table) -> u32 {
    match table {
        Table::Main => MAIN,
        Table::HalfOpen => 1,
    }
}

const MAIN: u32 = 0;

/// [`Insert`] as a number.
const fn code(insert: Insert) -> u32 {
    match insert {
        Insert::Done => 0,
        Insert::Exists => 1,
        Insert::Full => 2,
    }
}

/// The inverse of [`code`].
#[inline(always)]
pub const fn outcome(code: u32) -> Insert {
    match code {
        0 => Insert::Done,
        1 => Insert::Exists,
        _ => Insert::Full,
    }
}

macro_rules! flow_functions {
    ($family:ident, $main:ident, $half_open:ident, $read:ident, $has:ident, $insert:ident, $replace:ident, $set_state:ident, $remove:ident) => {
        /// 1: the flow was there, and stands in `flow`.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $read(table: u32, key: *const FlowKey<$family>, flow: *mut Flow<$family>) -> u32 {
            // SAFETY: null or whole, or the verifier refuses the caller.
            let Some(key) = (unsafe { key.as_ref() }) else { return 0 };
            let Some(flow) = (unsafe { flow.as_mut() }) else { return 0 };
            u32::from(if table == MAIN {
                table::look_up::<FlowEntry<$family>, _>(&$main, key, flow)
            } else {
                table::look_up::<FlowEntry<$family>, _>(&$half_open, key, flow)
            })
        }

        /// 1: the key is taken.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $has(table: u32, key: *const FlowKey<$family>) -> u32 {
            // SAFETY: null or whole, or the verifier refuses the caller.
            let Some(key) = (unsafe { key.as_ref() }) else { return 0 };
            u32::from(if table == MAIN {
                table::peek::<FlowEntry<$family>, _>(&$main, key).is_some()
            } else {
                table::peek::<FlowEntry<$family>, _>(&$half_open, key).is_some()
            })
        }

        /// [`code`].
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $insert(table: u32, key: *const FlowKey<$family>, flow: *const Flow<$family>) -> u32 {
            // SAFETY: null or whole, or the verifier refuses the caller.
            let Some(key) = (unsafe { key.as_ref() }) else { return code(Insert::Full) };
            let Some(flow) = (unsafe { flow.as_ref() }) else { return code(Insert::Full) };
            code(if table == MAIN {
                table::insert::<FlowEntry<$family>, _>(&$main, key, flow)
            } else {
                table::insert::<FlowEntry<$family>, _>(&$half_open, key, flow)
            })
        }

        /// 1: the flow was there, and is replaced.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $replace(table: u32, key: *const FlowKey<$family>, flow: *const Flow<$family>) -> u32 {
            // SAFETY: null or whole, or the verifier refuses the caller.
            let Some(key) = (unsafe { key.as_ref() }) else { return 0 };
            let Some(flow) = (unsafe { flow.as_ref() }) else { return 0 };
            u32::from(if table == MAIN {
                table::replace::<FlowEntry<$family>, _>(&$main, key, flow)
            } else {
                table::replace::<FlowEntry<$family>, _>(&$half_open, key, flow)
            })
        }

        /// 1: the flow was there, and has this state.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $set_state(table: u32, key: *const FlowKey<$family>, state: u32) -> u32 {
            // SAFETY: null or whole, or the verifier refuses the caller.
            let Some(key) = (unsafe { key.as_ref() }) else { return 0 };
            let state = FlowState(state as u8);
            u32::from(if table == MAIN {
                table::modify::<FlowEntry<$family>, _>(&$main, key, |flow| flow.state = state)
            } else {
                table::modify::<FlowEntry<$family>, _>(&$half_open, key, |flow| flow.state = state)
            })
        }

        /// 1: the flow was there, and is gone.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $remove(table: u32, key: *const FlowKey<$family>) -> u32 {
            // SAFETY: null or whole, or the verifier refuses the caller.
            let Some(key) = (unsafe { key.as_ref() }) else { return 0 };
            u32::from(if table == MAIN {
                table::remove::<FlowEntry<$family>, _>(&$main, key)
            } else {
                table::remove::<FlowEntry<$family>, _>(&$half_open, key)
            })
        }
    };
}

flow_functions!(V4, FlowsV4, HalfOpenV4, flow_v4_read, flow_v4_has, flow_v4_insert, flow_v4_replace, flow_v4_set_state, flow_v4_remove);
flow_functions!(V6, FlowsV6, HalfOpenV6, flow_v6_read, flow_v6_has, flow_v6_insert, flow_v6_replace, flow_v6_set_state, flow_v6_remove);

/// The external port as on the wire, and bit 16 as a sign that there is one: a flow is opened through the mapping now.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn mapping_use(key: *const MappingKey<V4>, now: u32) -> u32 {
    // SAFETY: null or whole, or the verifier refuses the caller.
    let Some(key) = (unsafe { key.as_ref() }) else { return 0 };
    let Some(Found { slot, guard, .. }) = table::peek::<MappingEntry, _>(&Mappings, key) else { return 0 };
    MappingEntry::touch(slot, Tick(now));
    PORT | guard.payload() as u32
}

/// The sign in [`mapping_use`]'s answer.
pub const PORT: u32 = 1 << 16;

/// [`code`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn mapping_insert(key: *const MappingKey<V4>, mapping: *const Mapping) -> u32 {
    // SAFETY: null or whole, or the verifier refuses the caller.
    let Some(key) = (unsafe { key.as_ref() }) else { return code(Insert::Full) };
    let Some(mapping) = (unsafe { mapping.as_ref() }) else { return code(Insert::Full) };
    code(table::insert::<MappingEntry, _>(&Mappings, key, mapping))
}

/// 1: the mapping was there, and is gone.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn mapping_remove(key: *const MappingKey<V4>) -> u32 {
    // SAFETY: null or whole, or the verifier refuses the caller.
    let Some(key) = (unsafe { key.as_ref() }) else { return 0 };
    u32::from(table::remove::<MappingEntry, _>(&Mappings, key))
}

/// 1: the endpoint is claimed, and stands in `endpoint`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn endpoint_read(key: *const EndpointKey<V4>, endpoint: *mut Endpoint<V4>) -> u32 {
    // SAFETY: null or whole, or the verifier refuses the caller.
    let Some(key) = (unsafe { key.as_ref() }) else { return 0 };
    let Some(endpoint) = (unsafe { endpoint.as_mut() }) else { return 0 };
    u32::from(table::look_up::<EndpointEntry, _>(&Endpoints, key, endpoint))
}

/// [`code`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn endpoint_insert(key: *const EndpointKey<V4>, endpoint: *const Endpoint<V4>) -> u32 {
    // SAFETY: null or whole, or the verifier refuses the caller.
    let Some(key) = (unsafe { key.as_ref() }) else { return code(Insert::Full) };
    let Some(endpoint) = (unsafe { endpoint.as_ref() }) else { return code(Insert::Full) };
    code(table::insert::<EndpointEntry, _>(&Endpoints, key, endpoint))
}

/// 1: the endpoint was claimed, and is free.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn endpoint_remove(key: *const EndpointKey<V4>) -> u32 {
    // SAFETY: null or whole, or the verifier refuses the caller.
    let Some(key) = (unsafe { key.as_ref() }) else { return 0 };
    u32::from(table::remove::<EndpointEntry, _>(&Endpoints, key))
}
