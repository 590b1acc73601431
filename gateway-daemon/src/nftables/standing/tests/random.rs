//! The prepared search against a search without any preparation.

use super::*;

/// The search as the policy's text describes it, on the model as it is.
fn naive<'m>(model: &'m Model, flow: &Flow) -> Ruling<'m> {
    let zone = |rule: &Option<ZoneName>, zone: &ZoneName| rule.as_ref().is_none_or(|rule| rule == zone);
    let inside =
        |matches: &AddressMatch, address: IpAddr| matches.is_any() || matches.members(&model.sets).iter().any(|net| net.contains(&address));
    let ports = |ports: &[PortRange], port| ports.is_empty() || ports.iter().any(|range| range.first <= port && port <= range.last);
    let with_ports = flow.protocol.is_some_and(|protocol| protocol != ProtocolMatch::Icmp);
    let v4 = flow.source.is_ipv4();
    let forward = model.nat.destination.iter().filter(|_| v4).find(|rule| {
        rule.from == *flow.from
            && inside(&rule.source, flow.source.ip())
            && Some(rule.protocol) == flow.protocol
            && rule.address == Some(flow.destination.ip())
            && ports(&[rule.ports], flow.destination.port())
    });
    let mut server = flow.destination;
    if let Some(rule) = forward {
        server.set_ip(rule.to);
        if let Some(port) = rule.to_port {
            server.set_port(port + (flow.destination.port() - rule.ports.first));
        }
    }
    if server.ip() != flow.translated_destination.ip() || with_ports && server != flow.translated_destination {
        return Ruling::End(Cause::Destination);
    }
    let rule = model.firewall.rules.iter().find(|rule| {
        zone(&rule.from, flow.from)
            && zone(&rule.to, flow.to)
            && inside(&rule.source, flow.source.ip())
            && inside(&rule.destination, server.ip())
            && (rule.protocol.is_none() || rule.protocol == flow.protocol)
            && (rule.ports.is_empty() || with_ports && ports(&rule.ports, server.port()))
            && (rule.icmp_type.is_none() || flow.protocol == Some(ProtocolMatch::Icmp) && rule.icmp_type == flow.icmp_type)
    });
    let name = rule.map(|rule| &rule.name);
    if rule.map_or(model.firewall.default, |rule| rule.action) != Action::Accept {
        return Ruling::End(Cause::Refused(name));
    }
    let source = model.nat.source.iter().filter(|_| v4).find(|rule| {
        zone(&rule.from, flow.from)
            && zone(&rule.to, flow.to)
            && inside(&rule.source, flow.source.ip())
            && inside(&rule.destination, server.ip())
            && (rule.protocol.is_none() || rule.protocol == flow.protocol)
            && (rule.ports.is_empty() || with_ports && ports(&rule.ports, server.port()))
    });
    let source = source.filter(|rule| rule.translate != Translate::None);
    let right = match source.map(|rule| &rule.translate) {
        Some(Translate::Masquerade) => flow.egress_address.map(IpAddr::V4) == Some(flow.translated_source.ip()),
        Some(Translate::Pool { addresses, .. }) => addresses
            .iter()
            .any(|range| IpAddr::V4(range.first) <= flow.translated_source.ip() && flow.translated_source.ip() <= range.last),
        _ => flow.translated_source.ip() == flow.source.ip(),
    };
    if !right {
        return Ruling::End(Cause::Source);
    }
    Ruling::Accept { rule: name, destination_nat: forward.map(|rule| &rule.name), source_nat: source.map(|rule| &rule.name) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn the_prepared_search_says_what_a_walk_through_the_model_says(
        model in few::policy(),
        flows in proptest::collection::vec(
            (few::ip(), few::ip(), few::address(), few::port(), few::port(), few::protocol(), few::zone(), few::zone(), 0u8..6, 0u8..6),
            16,
        ),
    ) {
        let standing = Standing::new(&model, &Inventory::default());
        for (source, destination, other, port, other_port, protocol, from, to, moved, left) in flows {
            // Most are meant for some forward, and go where that one would send them, or elsewhere, or nowhere else.
            let forward = model.nat.destination.get(usize::from(moved)).filter(|_| source.is_ipv4());
            let (destination, protocol, from) = match forward {
                Some(rule) => (SocketAddr::new(rule.address.unwrap(), rule.ports.last), Some(rule.protocol), rule.from.clone()),
                None if source.is_ipv4() == destination.is_ipv4() => (SocketAddr::new(destination, port), protocol, from),
                None => (SocketAddr::new(source, port), protocol, from),
            };
            let translated_destination = match forward {
                Some(rule) if port > 1 => {
                    let following = rule.ports.last - rule.ports.first;
                    SocketAddr::new(rule.to, rule.to_port.map_or(rule.ports.last, |first| first + following))
                }
                _ if moved == 4 && source.is_ipv4() => SocketAddr::new(other.into(), other_port),
                _ => destination,
            };
            let translated_source = if left < 2 || source.is_ipv6() { source } else { other.into() };
            let flow = Flow {
                protocol,
                icmp_type: (protocol == Some(ProtocolMatch::Icmp)).then_some(8),
                source: SocketAddr::new(source, 1),
                destination,
                translated_destination,
                translated_source: SocketAddr::new(translated_source, 2),
                from: &from,
                to: &to,
                egress_address: (left < 5).then_some(other),
            };
            prop_assert_eq!(standing.ask(&flow), naive(&model, &flow), "{:?}", flow);
        }
    }
}
