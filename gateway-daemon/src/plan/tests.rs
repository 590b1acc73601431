//! The users' own policy, planned.

use super::*;
use crate::inventory::{Link, Mac, XdpFeatures};
use crate::model::InterfaceName;
use crate::policy;

pub fn model(text: &str) -> Model {
    policy::load("test.toml", text).unwrap_or_else(|report| panic!("{report}")).model
}

fn link(index: u32, name: &str, addresses: &[&str]) -> Link {
    Link {
        index: IfIndex(index),
        name: InterfaceName(name.into()),
        up: true,
        carrier: true,
        mac: Some(Mac([2, 0, 0, 0, 0, index as u8])),
        mtu: 1500,
        kind: Some("veth".into()),
        bus: None,
        xdp: Some(XdpFeatures { native: true, transmit: true, fragments: true }),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
    }
}

fn seed() -> (Model, Numbers) {
    let model = model(include_str!("../../../tests/policies/seed.toml"));
    let mut numbers = Numbers::default();
    numbers.update(&model);
    (model, numbers)
}

#[test]
fn the_seed_policy_forwards_rdp_to_the_address_of_now() {
    let (model, numbers) = seed();
    let mut inventory = Inventory::default();
    inventory.links.insert(IfIndex(2), link(2, "eth0", &["10.128.0.15/24"]));
    let planned = plan(&model, &inventory, &numbers);
    let [forward] = planned.policy.destination_nat.as_slice() else { panic!("{:?}", planned.policy.destination_nat) };
    let public = planned.policy.sets_v4.iter().find(|(_, bits)| bits.contains(forward.destination)).map(|(net, _)| *net);
    assert_eq!(public, Some("10.128.0.15/32".parse().unwrap()));
    assert_eq!((forward.port_first, forward.target.port_first), (33890, 3389));

    inventory.links.insert(IfIndex(2), link(2, "eth0", &[]));
    assert!(plan(&model, &inventory, &numbers).policy.destination_nat.is_empty(), "without an address nothing can be meant");
}

#[test]
fn a_missing_interface_is_waited_for_and_the_other_works() {
    let (model, numbers) = seed();
    let mut inventory = Inventory::default();
    inventory.links.insert(IfIndex(2), link(2, "eth0", &["10.128.0.15/24"]));
    let planned = plan(&model, &inventory, &numbers);
    assert_eq!(planned.interfaces.len(), 1);
    assert_eq!(planned.waiting.len(), 1);
    assert_eq!((planned.waiting[0].name.0.as_str(), &planned.waiting[0].reason), ("eth1", &WaitReason::Missing));
}

#[test]
fn interfaces_whose_indexes_share_a_slot_do_not_share_an_entry() {
    let (model, numbers) = seed();
    let mut inventory = Inventory::default();
    inventory.links.insert(IfIndex(2), link(2, "eth0", &[]));
    inventory.links.insert(IfIndex(2 + INTERFACES), link(2 + INTERFACES, "eth1", &[]));
    let planned = plan(&model, &inventory, &numbers);
    assert_eq!(planned.interfaces.len(), 1);
    assert_eq!(planned.waiting[0].reason, WaitReason::SlotTaken(InterfaceName("eth0".into())));
}

const INTERFACES: u32 = abi::INTERFACES_LEN;

#[test]
fn auto_keeps_xdp_off_a_veth_and_virtio_and_on_a_native_nic() {
    let (model, numbers) = seed();
    let mut inventory = Inventory::default();
    inventory.links.insert(IfIndex(2), link(2, "eth0", &[]));
    for (bus, expected) in [("pci", (true, ModeReason::Native)), ("virtio", (false, ModeReason::Virtio))] {
        inventory.links.insert(IfIndex(3), Link { kind: None, bus: Some(bus.into()), ..link(3, "eth1", &[]) });
        let planned = plan(&model, &inventory, &numbers);
        assert_eq!((planned.interfaces[&IfIndex(2)].xdp, planned.interfaces[&IfIndex(2)].reason), (false, ModeReason::Veth));
        assert_eq!((planned.interfaces[&IfIndex(3)].xdp, planned.interfaces[&IfIndex(3)].reason), expected);
    }
}

#[test]
fn broadcast_and_anycast_addresses_are_the_gateways_own() {
    let (model, numbers) = seed();
    let mut inventory = Inventory::default();
    inventory.links.insert(IfIndex(2), link(2, "eth0", &["10.128.0.15/24", "192.0.2.0/31", "fd00:128::15/64"]));
    let planned = plan(&model, &inventory, &numbers);
    let v4: Vec<String> = planned.own_v4.iter().map(ToString::to_string).collect();
    assert_eq!(v4, ["10.128.0.15", "10.128.0.255", "192.0.2.0"]);
    assert!(planned.own_v6.contains(&"fd00:128::".parse().unwrap()) && planned.own_v6.contains(&"fd00:128::15".parse().unwrap()));
}
