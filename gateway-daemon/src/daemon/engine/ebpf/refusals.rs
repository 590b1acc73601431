//! Refused packets that deserve an answer: out of the datapath's ring buffer, and to whoever sent them.

use std::future::pending;
use std::net::IpAddr;
use std::time::Instant;

use gateway_ebpf::abi::Refused;
use tokio::io::Interest;
use tokio::time::sleep_until;

use crate::answers::Answers;
use crate::daemon::error;
use crate::datapath::{Datapath, Ring, inspect};
use crate::inventory::{IfIndex, Inventory};

/// The stream of refused packets, and the sockets that answer them.
pub struct Refusals {
    ring: Option<Ring>,
    answers: Option<Answers>,
}

impl Refusals {
    /// Opens both. Without a socket the gateway works, but refuses in silence, and its log says so.
    ///
    /// # Errors
    /// The ring buffer cannot be registered with the runtime.
    pub fn open(datapath: &mut Datapath) -> std::io::Result<Self> {
        let answers = match Answers::open() {
            Ok(answers) => Some(answers),
            Err(failed) => {
                tracing::error!("{}", error::chain(&failed));
                None
            }
        };
        Ok(Self { ring: datapath.take_answers()?, answers })
    }

    /// Waits for refused packets that may be answered now. Nothing is taken out of the ring before this returns, so it may be dropped
    /// while it waits.
    pub async fn ready(&mut self) {
        let (Some(ring), Some(answers)) = (&mut self.ring, &self.answers) else { return pending().await };
        // While the limit allows none, the ring is the queue; what finds it full is not answered, and a flood costs no work here.
        if let Some(at) = answers.ready_at(Instant::now()) {
            sleep_until(at.into()).await;
        }
        // Ready it stays, until `answer` has seen the ring empty.
        if ring.readable_mut().await.is_err() {
            pending().await
        }
    }

    /// Answers what the ring holds, as far as the limit allows.
    pub fn answer(&mut self, inventory: &Inventory) {
        let (Some(ring), Some(answers)) = (&mut self.ring, &mut self.answers) else { return };
        loop {
            let now = Instant::now();
            if answers.ready_at(now).is_some() {
                return;
            }
            let drained = ring.try_io_mut(Interest::READABLE, |ring| match ring.next() {
                Some(item) => Ok(inspect::refused(&item)),
                None => Err(std::io::ErrorKind::WouldBlock.into()),
            });
            match drained {
                Ok(Some(refused)) => answer_one(answers, inventory, &refused, now),
                // Not of this build; the ring goes on.
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }
}

fn answer_one(answers: &mut Answers, inventory: &Inventory, refused: &Refused, now: Instant) {
    let own = |sender: IpAddr| own_address(inventory, IfIndex(refused.ifindex), sender);
    if let Err(failed) = answers.answer(refused, own, now) {
        // Anybody can provoke these: for people who look for them.
        tracing::debug!("{}", error::chain(&failed));
    }
}

/// The address that errors to `sender` come from: the arrival interface's, or, where it has none, another one of the gateway's (RFC 1812
/// section 4.3.2.4, RFC 4443 section 2.2). Link-local ones would mean nothing to a sender elsewhere.
fn own_address(inventory: &Inventory, arrival: IfIndex, sender: IpAddr) -> Option<IpAddr> {
    let links = inventory.links.get(&arrival).into_iter().chain(inventory.links.values());
    links.flat_map(|link| &link.addresses).map(ipnet::IpNet::addr).find(|address| match address {
        IpAddr::V4(address) => sender.is_ipv4() && !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => sender.is_ipv6() && !address.is_loopback() && !address.is_unicast_link_local(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Link;
    use crate::model::InterfaceName;

    fn inventory(links: &[(u32, &[&str])]) -> Inventory {
        let link = |(index, addresses): &(u32, &[&str])| {
            let index = IfIndex(*index);
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            let name = InterfaceName(format!("eth{}", index.0));
            (index, Link { index, name, up: true, carrier: true, mac: None, mtu: 1500, kind: None, bus: None, xdp: None, addresses })
        };
        Inventory { links: links.iter().map(link).collect(), ..Inventory::default() }
    }

    #[test]
    fn the_arrival_interface_answers_and_another_only_where_it_cannot() {
        let inventory = inventory(&[
            (1, &["127.0.0.1/8", "::1/128"]),
            (2, &["10.128.0.15/24", "fe80::2/64", "fd00:128::15/64"]),
            (3, &["fe80::3/64", "10.227.128.15/21"]),
        ]);
        let own = |arrival, sender: &str| own_address(&inventory, IfIndex(arrival), sender.parse().unwrap()).map(|own| own.to_string());
        assert_eq!(own(3, "10.227.128.11").as_deref(), Some("10.227.128.15"));
        assert_eq!(own(2, "fd00:10::10").as_deref(), Some("fd00:128::15"));
        assert_eq!(own(3, "fd00:227::11").as_deref(), Some("fd00:128::15"));
        assert_eq!(own(9, "10.10.0.10").as_deref(), Some("10.128.0.15"));
    }

    #[test]
    fn without_an_address_of_the_family_there_is_no_error() {
        let inventory = inventory(&[(1, &["::1/128", "127.0.0.1/8"]), (2, &["fe80::2/64"])]);
        assert_eq!(own_address(&inventory, IfIndex(2), "10.0.0.1".parse().unwrap()), None);
        assert_eq!(own_address(&inventory, IfIndex(2), "fd00::1".parse().unwrap()), None);
    }
}
