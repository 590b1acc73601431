//! Connection tracking over netlink: what is listed is what `conntrack` lists, and flows are ended, marked and carried over.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use gateway_daemon::netlink::conntrack::{
    Conntrack, Created, Endpoints, Entry, EntryId, IcmpQuery, IpProtocol, Mark, NewEntry, Status, TcpState, Tuple,
};

use crate::namespace::{Peer, run, sh, two_hosts};

/// No packet between the hosts takes longer, retransmissions included.
const PATIENCE: Duration = Duration::from_secs(10);
/// What does not arrive within this does not arrive.
const SILENCE: Duration = Duration::from_millis(300);
const MINUTE: Duration = Duration::from_secs(60);

/// Two hosts, the gateway forwarding between them as these rules say, and what it watches counted and timed.
fn hosts(rules: &str) -> (Peer, Peer) {
    let hosts = two_hosts();
    sh("echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
    sh("cd /proc/sys/net/netfilter; echo 1 > nf_conntrack_acct; echo 1 > nf_conntrack_timestamp");
    load(rules);
    hosts
}

/// Replaces this namespace's rules.
fn load(rules: &str) {
    sh(&format!("nft -f - <<'END'\nflush ruleset\n{rules}\nEND"));
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Masquerades what goes to b, forwards 10.1.0.1:8080 to b, and the same with masquerade for port 8081.
const TRANSLATING: &str = r#"
    table inet t {
        counter opened {}
        chain forward { type filter hook forward priority 0; ct state new counter name opened; }
        chain in {
            type nat hook prerouting priority dstnat;
            ip daddr 10.1.0.1 tcp dport 8080 meta mark set 1 dnat ip to 10.2.0.2:7000;
            ip daddr 10.1.0.1 tcp dport 8081 dnat ip to 10.2.0.2:7000;
        }
        chain out {
            type nat hook postrouting priority srcnat;
            ip daddr 10.2.0.2 meta mark 0 meta l4proto { tcp, udp } masquerade to :20000-20999;
        }
    }"#;

/// Translates nothing by itself, and lets nothing new through; nor does the gateway itself answer what it no longer translates.
const KEEPING: &str = r#"
    table inet t {
        chain input { type filter hook input priority 0; ct state { new, invalid } drop; }
        chain forward { type filter hook forward priority 0; ct state { new, invalid } drop; }
        chain in { type nat hook prerouting priority dstnat; }
        chain out { type nat hook postrouting priority srcnat; }
    }"#;

struct Connection {
    client: TcpStream,
    server: TcpStream,
}

impl Connection {
    /// From host a to `target`, which must lead to the address on which host b listens.
    fn open(a: &Peer, b: &Peer, target: &str, listen: &str) -> Self {
        let (listen, target) = (addr(listen), addr(target));
        let listener = b.inside(move || TcpListener::bind(listen).unwrap());
        let client = a.inside(move || TcpStream::connect_timeout(&target, PATIENCE).unwrap());
        let (server, _) = listener.accept().unwrap();
        let mut connection = Self { client, server };
        assert!(connection.carries());
        connection
    }

    /// Data goes through in both directions.
    fn carries(&mut self) -> bool {
        let Self { client, server } = self;
        say(client);
        say(server);
        hears(server, PATIENCE) && hears(client, PATIENCE)
    }
}

/// Sends 16 MiB, all of which arrives.
fn bulk(from: &mut TcpStream, to: &mut TcpStream) {
    const LEN: usize = 16 << 20;
    from.set_write_timeout(Some(PATIENCE)).unwrap();
    to.set_read_timeout(Some(PATIENCE)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| from.write_all(&vec![7; LEN]).unwrap());
        let mut received = vec![0; LEN];
        to.read_exact(&mut received).unwrap();
        assert!(received.iter().all(|byte| *byte == 7));
    });
}

fn say(stream: &mut TcpStream) {
    stream.write_all(b"word").unwrap();
}

fn hears(stream: &mut TcpStream, patience: Duration) -> bool {
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut word = [0; 4];
    stream.read_exact(&mut word).is_ok() && &word == b"word"
}

fn tuple(source: &str, destination: &str) -> Tuple {
    Tuple { source: addr(source), destination: addr(destination), icmp: None }
}

fn of(entries: &[Entry], protocol: IpProtocol) -> &Entry {
    let mut found = entries.iter().filter(|entry| entry.protocol == protocol);
    match (found.next(), found.next()) {
        (Some(entry), None) => entry,
        _ => panic!("not one entry of {protocol:?}: {entries:#?}"),
    }
}

/// An entry as `conntrack -L -o extended,id` writes it, without what depends on the moment.
fn line(entry: &Entry) -> String {
    let direction = |tuple: &Tuple| {
        let ports = match tuple.icmp {
            Some(query) => format!("type={} code={} id={}", query.kind, query.code, tuple.source.port()),
            None => format!("sport={} dport={}", tuple.source.port(), tuple.destination.port()),
        };
        format!("src={} dst={} {ports}", tuple.source.ip(), tuple.destination.ip())
    };
    let traffic = |counters: Option<gateway_daemon::netlink::conntrack::Counters>| {
        let counters = counters.unwrap();
        format!("packets={} bytes={}", counters.packets, counters.bytes)
    };
    format!(
        "{} {} {} {} {} mark={} id={}",
        entry.protocol.0,
        direction(&entry.original),
        traffic(entry.original_counters),
        direction(&entry.reply),
        traffic(entry.reply_counters),
        entry.mark,
        entry.id.unwrap().0,
    )
}

/// What the tool lists, in the form of [`line`].
fn listed_by_the_tool() -> BTreeSet<String> {
    let list = ["ipv4", "ipv6"].map(|family| sh(&format!("conntrack -L -f {family} -o extended,id 2>/dev/null")));
    let one = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // family, its number, protocol, its number, timeout, ...
        let kept = words[5..].iter().filter(|word| word.contains('=') && !word.starts_with("use=") && !word.starts_with("delta-time="));
        format!("{} {}", words[3], kept.copied().collect::<Vec<_>>().join(" "))
    };
    list.iter().flat_map(|list| list.lines()).map(one).collect()
}

#[test]
fn every_kind_of_flow_is_listed_as_the_tool_lists_it() {
    run("every_kind_of_flow_is_listed_as_the_tool_lists_it", || async {
        let before = SystemTime::now();
        let (a, b) = hosts(TRANSLATING);
        let mut conntrack = Conntrack::open().unwrap();
        assert_eq!(conntrack.dump(Mark::ANY).unwrap(), [], "nothing yet");
        let connection = Connection::open(&a, &b, "10.2.0.2:7000", "10.2.0.2:7000");
        let forwarded = Connection::open(&a, &b, "10.1.0.1:8080", "0.0.0.0:7000");
        let server = b.inside(|| UdpSocket::bind("[fd02::2]:5000").unwrap());
        let one_way = a.inside(|| UdpSocket::bind("[fd01::2]:4000").unwrap());
        one_way.send_to(b"word", server.local_addr().unwrap()).unwrap();
        a.sh("ping -q -c 1 -W 5 10.2.0.2; ping -6 -q -c 1 -W 5 fd02::2");

        let list = |conntrack: &mut Conntrack| {
            let entries = conntrack.dump(Mark::ANY).unwrap();
            let ours: BTreeSet<String> = entries.iter().map(line).collect();
            (entries, ours, listed_by_the_tool())
        };
        let begun = Instant::now();
        let (mut entries, mut ours, mut theirs) = list(&mut conntrack);
        // A late acknowledgement may be counted between the two lists.
        while ours != theirs && begun.elapsed() < PATIENCE {
            (entries, ours, theirs) = list(&mut conntrack);
        }
        assert_eq!(ours, theirs);
        assert_eq!(usize::try_from(conntrack.stats().unwrap().entries).unwrap(), entries.len());

        let client = connection.client.local_addr().unwrap();
        let entry = entries.iter().find(|entry| entry.original.source == client).unwrap();
        let external = connection.server.peer_addr().unwrap();
        assert!((20000..=20999).contains(&external.port()), "{external}");
        let remote = addr("10.2.0.2:7000");
        assert_eq!(entry.endpoints(), Endpoints { internal: client, external: Some(external), remote, original_destination: None });
        assert_eq!(entry.tcp, Some(TcpState::Established));
        assert!(entry.status.contains(Status::SEEN_REPLY | Status::ASSURED | Status::CONFIRMED | Status::SRC_NAT), "{entry:?}");
        assert!(entry.timeout.unwrap() > 60 * MINUTE, "{entry:?}");
        assert!(entry.started.unwrap() >= before && entry.started.unwrap() <= SystemTime::now(), "{entry:?}");

        let client = forwarded.client.local_addr().unwrap();
        let entry = entries.iter().find(|entry| entry.original.source == client).unwrap();
        let public = addr("10.1.0.1:8080");
        let expected = Endpoints { internal: remote, external: Some(public), remote: client, original_destination: Some(public) };
        assert_eq!(entry.endpoints(), expected);

        let udp = of(&entries, IpProtocol::UDP);
        assert_eq!(udp.original, tuple("[fd01::2]:4000", "[fd02::2]:5000"));
        assert!(!udp.status.contains(Status::SEEN_REPLY) && udp.tcp.is_none());
        assert_eq!(udp.endpoints().external, None);
        let echo = of(&entries, IpProtocol::ICMP);
        assert_eq!(echo.original.icmp, Some(IcmpQuery::ECHO));
        assert_eq!(echo.original.source.port(), echo.original.destination.port());
        assert_eq!(of(&entries, IpProtocol::ICMPV6).original.icmp, Some(IcmpQuery::ECHO_V6));
    });
}

#[test]
fn an_ended_flow_begins_anew_with_its_next_packet() {
    run("an_ended_flow_begins_anew_with_its_next_packet", || async {
        let (a, b) = hosts(TRANSLATING);
        let opened = || sh("nft list counter inet t opened | grep -o 'packets [0-9]*'");
        let server = b.inside(|| UdpSocket::bind("10.2.0.2:5000").unwrap());
        let client = a.inside(|| UdpSocket::bind("10.1.0.2:4000").unwrap());
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        // A flow of datagrams stays new until it is answered.
        let send = || {
            client.send_to(b"word", "10.2.0.2:5000").unwrap();
            let (_, peer) = server.recv_from(&mut [0; 8]).unwrap();
            server.send_to(b"word", peer).unwrap();
            client.recv_from(&mut [0; 8]).unwrap();
        };
        let mut conntrack = Conntrack::open().unwrap();
        send();
        send();
        assert_eq!(opened(), "packets 1\n");
        let entry = *of(&conntrack.dump(Mark::ANY).unwrap(), IpProtocol::UDP);
        assert!(conntrack.delete(&entry).unwrap());
        assert_eq!(conntrack.dump(Mark::ANY).unwrap(), []);
        assert!(!conntrack.delete(&entry).unwrap(), "it is gone, which is no error");
        assert!(!conntrack.set_mark(&entry, Mark::whole(1)).unwrap());

        send();
        assert_eq!(opened(), "packets 2\n");
        let next = *of(&conntrack.dump(Mark::ANY).unwrap(), IpProtocol::UDP);
        assert!(next.original == entry.original && next.started > entry.started, "{entry:?} {next:?}");
        let other = Entry { id: next.id.map(|id| EntryId(id.0 ^ 1)), ..next };
        assert!(!conntrack.delete(&other).unwrap(), "another flow of the same tuples is not meant");
        assert_eq!(conntrack.delete_all([&other, &next, &next]).unwrap(), 1);

        // The same for ICMP and IPv6, whose tuples are named otherwise.
        a.sh("ping -q -c 1 -W 5 10.2.0.2; ping -6 -q -c 1 -W 5 fd02::2");
        let entries = conntrack.dump(Mark::ANY).unwrap();
        assert_eq!(conntrack.delete_all(&entries).unwrap(), entries.len() as u64);
        assert_eq!(conntrack.dump(Mark::ANY).unwrap(), []);
    });
}

#[test]
fn marks_are_set_bit_by_bit_and_filter_the_list() {
    run("marks_are_set_bit_by_bit_and_filter_the_list", || async {
        let (a, _b) = hosts(TRANSLATING);
        let sockets: Vec<UdpSocket> = (0..3).map(|_| a.inside(|| UdpSocket::bind("10.1.0.2:0").unwrap())).collect();
        for socket in &sockets {
            socket.send_to(b"word", "10.2.0.2:5000").unwrap();
        }
        let mut conntrack = Conntrack::open().unwrap();
        let entries: Vec<Entry> =
            conntrack.dump(Mark::ANY).unwrap().into_iter().filter(|entry| entry.protocol == IpProtocol::UDP).collect();
        assert_eq!(entries.len(), 3);
        assert!(conntrack.set_mark(&entries[0], Mark::whole(0x00a0_0001)).unwrap());
        assert!(conntrack.set_mark(&entries[0], Mark { value: 0xff00_0500, mask: 0x0000_ff00 }).unwrap());
        assert_eq!(conntrack.set_mark_all(&entries[1..2], Mark::whole(0x00b0_0001)).unwrap(), 1);
        let marks =
            |conntrack: &mut Conntrack, mark| -> BTreeSet<u32> { conntrack.dump(mark).unwrap().iter().map(|entry| entry.mark).collect() };
        assert_eq!(marks(&mut conntrack, Mark { value: 1, mask: 0xf }), BTreeSet::from([0x00a0_0501, 0x00b0_0001]));
        assert_eq!(marks(&mut conntrack, Mark { value: 0x00a0_0000, mask: 0x00ff_0000 }), BTreeSet::from([0x00a0_0501]));
        assert!(marks(&mut conntrack, Mark { value: 0, mask: 0xf }).iter().all(|mark| *mark == 0));
        assert_eq!(conntrack.dump(Mark::whole(7)).unwrap(), []);
    });
}

/// The flow of a connection is forgotten, and made again under rules that would neither translate it nor let it begin.
fn carried_over(name: &str, target: &'static str, source_nat: bool, destination_nat: bool) {
    run(name, || async move {
        let (a, b) = hosts(TRANSLATING);
        let listen = if target.starts_with('[') { "[fd02::2]:7000" } else { "10.2.0.2:7000" };
        let mut connection = Connection::open(&a, &b, target, listen);
        let mut conntrack = Conntrack::open().unwrap();
        let entry = *of(&conntrack.dump(Mark::ANY).unwrap(), IpProtocol::TCP);
        assert_eq!((entry.has_source_nat(), entry.has_destination_nat()), (source_nat, destination_nat), "{entry:?}");
        load(KEEPING);
        assert!(conntrack.delete(&entry).unwrap());
        say(&mut connection.client);
        assert!(!hears(&mut connection.server, SILENCE), "without its entry the connection must stand still");

        let mut again = NewEntry::again(&entry, MINUTE);
        again.mark = 0x77;
        assert!(matches!(conntrack.create(&again).unwrap(), Created::Made));
        assert!(matches!(conntrack.create(&again).unwrap(), Created::Taken));
        assert!(hears(&mut connection.server, PATIENCE), "what was sent meanwhile arrives");
        assert!(connection.carries());
        // Far more under way than the window that the kernel would guess, who has not seen the handshake and its scale.
        bulk(&mut connection.client, &mut connection.server);
        bulk(&mut connection.server, &mut connection.client);
        let next = *of(&conntrack.dump(Mark::whole(0x77)).unwrap(), IpProtocol::TCP);
        assert_eq!((next.original, next.reply), (entry.original, entry.reply));
        assert_eq!((next.has_source_nat(), next.has_destination_nat()), (source_nat, destination_nat));
        assert_eq!(next.tcp, Some(TcpState::Established));
        assert!(next.status.contains(NewEntry::ESTABLISHED));
        assert!(next.original_counters.unwrap().packets > 50 && next.started > entry.started, "{next:?}");
    });
}

#[test]
fn a_masqueraded_connection_is_carried_over() {
    carried_over("a_masqueraded_connection_is_carried_over", "10.2.0.2:7000", true, false);
}

#[test]
fn a_forwarded_connection_is_carried_over() {
    carried_over("a_forwarded_connection_is_carried_over", "10.1.0.1:8080", false, true);
}

#[test]
fn a_connection_translated_on_both_sides_is_carried_over() {
    carried_over("a_connection_translated_on_both_sides_is_carried_over", "10.1.0.1:8081", true, true);
}

#[test]
fn an_untranslated_connection_is_carried_over() {
    carried_over("an_untranslated_connection_is_carried_over", "[fd02::2]:7000", false, false);
}

#[test]
fn datagrams_and_echoes_are_carried_over() {
    run("datagrams_and_echoes_are_carried_over", || async {
        let (a, b) = hosts(KEEPING);
        let server = b.inside(|| UdpSocket::bind("10.2.0.2:5000").unwrap());
        let client = a.inside(|| UdpSocket::bind("10.1.0.2:4000").unwrap());
        let mut conntrack = Conntrack::open().unwrap();
        let mut flow = NewEntry::established(IpProtocol::UDP, addr("10.1.0.2:4000"), addr("10.2.0.2:5000"), MINUTE);
        flow.translated_source = addr("10.2.0.1:20001");
        assert!(matches!(conntrack.create(&flow).unwrap(), Created::Made));
        client.send_to(b"word", "10.2.0.2:5000").unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let (_, peer) = server.recv_from(&mut [0; 8]).unwrap();
        assert_eq!(peer, flow.translated_source);
        server.send_to(b"word", peer).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(client.recv_from(&mut [0; 8]).unwrap().1, addr("10.2.0.2:5000"));

        let mut echo = NewEntry::established(IpProtocol::ICMP, addr("10.1.0.2:77"), addr("10.2.0.2:77"), MINUTE);
        echo.translated_source = addr("10.2.0.1:78");
        assert!(matches!(conntrack.create(&echo).unwrap(), Created::Made));
        assert!(!a.can("ping -q -c 1 -W 1 -e 76 10.2.0.2"), "another identifier is another flow, which may not begin");
        a.sh("ping -q -c 1 -W 5 -e 77 10.2.0.2");
        let entries = conntrack.dump(Mark::ANY).unwrap();
        assert_eq!(of(&entries, IpProtocol::ICMP).reply.source.port(), 78);
    });
}

#[test]
fn a_full_table_is_listed_and_ended_without_loss() {
    run("a_full_table_is_listed_and_ended_without_loss", || async {
        const MANY: u32 = 200_000;
        let mut conntrack = Conntrack::open().unwrap();
        let limit = conntrack.stats().unwrap().limit.unwrap();
        let many = MANY.min(limit - limit / 8);
        let new = |number: u32| {
            let source = SocketAddr::new((0x0a01_0000 + number / 50_000).to_be_bytes().into(), (1024 + number % 50_000) as u16);
            let mut flow = NewEntry::established(IpProtocol::UDP, source, addr("10.2.0.2:5000"), 5 * MINUTE);
            flow.mark = number % 2;
            flow
        };
        let flows: Vec<NewEntry> = (0..many).map(new).collect();
        let begun = Instant::now();
        let created = conntrack.create_all(&flows).unwrap();
        assert!(
            created.iter().all(|created| matches!(created, Created::Made)),
            "{:?}",
            created.iter().find(|c| !matches!(c, Created::Made))
        );
        assert_eq!(conntrack.stats().unwrap().entries, many);
        let made = begun.elapsed();
        let entries = conntrack.dump(Mark::ANY).unwrap();
        let listed = begun.elapsed() - made;
        let sources: BTreeSet<SocketAddr> = entries.iter().map(|entry| entry.original.source).collect();
        assert_eq!(sources.len(), many as usize);
        let odd = conntrack.dump(Mark { value: 1, mask: 1 }).unwrap();
        assert_eq!(odd.len(), many as usize / 2);
        assert_eq!(conntrack.delete_all(&odd).unwrap(), u64::from(many / 2));
        // Half of them are gone, each of which is answered by an error.
        let ending = Instant::now();
        assert_eq!(conntrack.delete_all(&entries).unwrap(), u64::from(many - many / 2));
        eprintln!("{many} entries: made in {made:?}, listed in {listed:?}, ended in {:?}", ending.elapsed());
        assert_eq!(conntrack.stats().unwrap().entries, 0);
    });
}
