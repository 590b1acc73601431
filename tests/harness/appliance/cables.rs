//! The machine's legs into the lab: a tap each, bridged with the leg that the lab's gateway room has there.

use anyhow::Result;

use crate::Lab;

/// The machine's NICs: name of the tap, the room's leg, the NIC's MAC.
pub const LEGS: [(&str, &str, &str); 2] = [("tap0", "eth0", "02:67:77:00:00:10"), ("tap1", "eth1", "02:67:77:00:00:11")];

/// Turns the gateway room into two bridges. What addresses it had are the machine's from now on.
///
/// # Errors
/// When the kernel refuses.
pub fn plug(lab: &Lab) -> Result<()> {
    for (tap, leg, _) in LEGS {
        lab.gateway.ip(&format!(
            "address flush dev {leg}\n\
             link set {leg} addrgenmode none\n\
             link add br-{leg} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
             link set br-{leg} addrgenmode none\n\
             tuntap add dev {tap} mode tap multi_queue\n\
             link set {tap} addrgenmode none\n\
             link set {leg} master br-{leg}\n\
             link set {tap} master br-{leg}\n\
             link set {tap} up\nlink set br-{leg} up"
        ))?;
    }
    Ok(())
}
