//! Keys and values by number, for the comparison of structures that a flow could be kept in: what is found can be checked without a table.

use crate::abi::{Abi, Address, Family, Flow, FlowKey, Generation, IfIndex, Ipv4, Ipv6, Link, Port, Protocol, V4, V6};

/// A value of the kernel's maps: as long as an IPv4 flow's entry in ours.
pub type Value = [u64; 8];

/// No number: nothing is spoilt.
pub const NOBODY: u32 = u32::MAX;

/// What the programs are told, and what came of it. One element of the map `LOOK`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The lowest number that keys are made of.
    pub first: u32,
    /// How many numbers there are from there on, which are taken in turn.
    pub keys: u32,
    /// From one run's number to the next one's; below `keys`, and without a common divisor.
    pub stride: u32,
    /// The next run's, counted from `first`.
    pub next: u32,
    /// Whether the keys are there: 1 or 0.
    pub present: u32,
    /// The number that is stored with a wrong value: the proof that it is noticed. [`NOBODY`] otherwise.
    pub spoilt: u32,
    /// Runs that ended as they should.
    pub right: u32,
    /// Runs that did not: another value, none, one too many; when filling, refused insertions.
    pub wrong: u32,
    /// When filling, the kernel's last refusal: an error number in the negative.
    pub refusal: i32,
}

impl Abi for Look {}

/// A key that is made of a number.
pub trait Key: Copy {
    /// The number's.
    fn of(number: u32) -> Self;
}

/// Ports of a host; of each, the number's upper bits choose one.
const PORTS: u32 = 1024;

/// The number's part that differs between hosts, as the last word of an address.
#[inline(always)]
fn host(number: u32) -> u32 {
    (0x0a00_0000 | (number / PORTS)).to_be()
}

/// The other one.
#[inline(always)]
fn port(number: u32) -> Port {
    Port::new((PORTS + number % PORTS) as u16)
}

#[inline(always)]
fn link() -> Link {
    Link::new(IfIndex(2), Protocol::UDP)
}

const REMOTE: Ipv4 = Ipv4::from_octets([192, 0, 2, 80]);
const SERVICE: Port = Port::new(443);
/// The first word of 2001:db8::/32 (RFC 3849).
const NETWORK: u32 = 0x2001_0db8u32.to_be();

/// Addresses and ports alone: 12 bytes.
impl Key for [u32; 3] {
    #[inline(always)]
    fn of(number: u32) -> Self {
        [host(number), REMOTE.0, port(number).wire() as u32 | (SERVICE.wire() as u32) << 16]
    }
}

/// As many bytes as an IPv4 flow's: 16.
impl Key for [u32; 4] {
    #[inline(always)]
    fn of(number: u32) -> Self {
        let [source, destination, ports] = Key::of(number);
        [source, destination, ports, link().word()]
    }
}

/// As many bytes as an IPv6 flow's: 40.
impl Key for [u32; 10] {
    #[inline(always)]
    fn of(number: u32) -> Self {
        let [source, _, ports, link] = Key::of(number);
        [NETWORK, 0, 0, source, NETWORK, 0, 1, REMOTE.0, ports, link]
    }
}

impl Key for FlowKey<V4> {
    #[inline(always)]
    fn of(number: u32) -> Self {
        Self::new(Ipv4(host(number)), REMOTE, port(number), SERVICE, link())
    }
}

impl Key for FlowKey<V6> {
    #[inline(always)]
    fn of(number: u32) -> Self {
        Self::new(Ipv6([NETWORK, 0, 0, host(number)]), Ipv6([NETWORK, 0, 1, REMOTE.0]), port(number), SERVICE, link())
    }
}

/// The golden ratio in 32 bits (Knuth, The Art of Computer Programming, section 6.4).
const SPREAD: u64 = 0x9e37_79b9;

/// The number, in other words.
#[inline(always)]
fn mixed(number: u32) -> u64 {
    (number as u64 + 1).wrapping_mul(SPREAD)
}

/// The value of a number.
#[inline(always)]
#[must_use]
pub fn value_of(number: u32) -> Value {
    let mut value = [0; 8];
    let mut at = 0;
    while at < 8 {
        value[at] = mixed(number).wrapping_add(at as u64);
        at += 1;
    }
    value
}

/// Whether it is that value. Reads all of it.
#[inline(always)]
#[must_use]
pub fn is_value_of(number: u32, value: &Value) -> bool {
    let (mut sum, mut at) = (0u64, 0);
    while at < 8 {
        sum = sum.wrapping_add(value[at]);
        at += 1;
    }
    sum == mixed(number).wrapping_mul(8).wrapping_add(28)
}

/// The flow of a number.
#[must_use]
pub fn flow_of<F: Family>(number: u32) -> Flow<F> {
    Flow { source: F::Address::from_words([number; 4]), decided: Generation(mixed(number) as u32), ..Flow::default() }
}

/// Whether it is that flow. All but its counters was read when it was copied.
#[inline(always)]
#[must_use]
pub fn is_flow_of<F: Family>(number: u32, flow: &Flow<F>) -> bool {
    (flow.source.words()[0] ^ number) | (flow.decided.0 ^ mixed(number) as u32) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const KEYS: u32 = 3_000_000;

    fn differ<K: Key + Eq + std::hash::Hash>() {
        let keys: HashSet<K> = (0..KEYS).step_by(7).map(K::of).collect();
        assert_eq!(keys.len() as u32, KEYS.div_ceil(7));
    }

    #[test]
    fn keys_of_two_numbers_differ() {
        differ::<[u32; 3]>();
        differ::<[u32; 4]>();
        differ::<[u32; 10]>();
        differ::<FlowKey<V4>>();
        differ::<FlowKey<V6>>();
    }

    #[test]
    fn a_value_is_its_own_number_s_only() {
        for number in [0, 1, 999, KEYS] {
            assert!(is_value_of(number, &value_of(number)) && is_flow_of::<V6>(number, &flow_of(number)));
            assert!(!is_value_of(number, &value_of(number + 1)) && !is_flow_of::<V4>(number, &flow_of(number + 1)));
            assert!(!is_value_of(number, &Value::default()));
        }
    }
}
