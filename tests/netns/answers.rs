//! What senders of refused packets are told. Each of these would otherwise wait for its own timeouts.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use gateway_tests::lab::{GATEWAY_OVERLAY, GATEWAY_OVERLAY_V6, GATEWAY_PODS, ONPREM, SERVER, SERVER_V6, VM1};
use gateway_tests::skip::may_use_namespaces;
use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab, Namespace};
use rustix::io::Errno;
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};

/// As long as an answer may take on a machine that compiles beside; far less than any timeout of TCP.
const PATIENCE: Duration = Duration::from_secs(10);
/// A connection that nobody answers repeats its SYN after one second.
const AT_ONCE: Duration = Duration::from_millis(900);

/// The users' policy.
const SEED: &str = include_str!("../policies/seed.toml");

/// The seed policy with a rule in front of all others.
fn with_rule(lines: &str) -> String {
    SEED.replacen("[[firewall.rules]]", &format!("[[firewall.rules]]\nname = \"first\"\n{lines}\n\n[[firewall.rules]]"), 1)
}

fn run(test: &str, policy: &str, body: impl FnOnce(&Lab, &Gateway<'_>)) {
    if !may_use_namespaces(&format!("answers::{test}")) {
        return;
    }
    let lab = Lab::unique("answers").unwrap();
    let gateway = Gateway::start(&lab.gateway, policy).unwrap();
    body(&lab, &gateway);
}

fn endpoint(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

fn connect(from: &Namespace, to: SocketAddr) -> std::io::Result<TcpStream> {
    from.within(|| TcpStream::connect_timeout(&to, PATIENCE)).unwrap()
}

/// A UDP socket that the kernel tells of errors, because it is connected.
fn udp(from: &Namespace, to: SocketAddr) -> UdpSocket {
    let socket = from
        .within(|| {
            let any: SocketAddr = if to.is_ipv4() { "0.0.0.0:0".parse().unwrap() } else { "[::]:0".parse().unwrap() };
            let socket = UdpSocket::bind(any)?;
            socket.connect(to)?;
            std::io::Result::Ok(socket)
        })
        .unwrap()
        .unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// What becomes of a datagram: the error that comes back for it, or `None` for an answer or silence.
fn told(socket: &UdpSocket) -> Option<Errno> {
    socket.send(b"question").unwrap();
    let error = socket.recv(&mut [0; 16]).err().filter(|error| error.kind() != ErrorKind::WouldBlock)?;
    Errno::from_io_error(&error)
}

/// Connects to a port where a server does listen, so that nobody but the gateway can have refused.
fn refuses_tcp_at_once(lab: &Lab, address: &str) {
    let server = endpoint(address, 8080);
    let _listener = lab.pods.within(|| TcpListener::bind(server)).unwrap().unwrap();
    // The first packet on a fresh link waits for neighbours.
    let _ = lab.vm1.run("ping", &["-c1", "-W5", if server.is_ipv4() { GATEWAY_OVERLAY } else { GATEWAY_OVERLAY_V6 }]);
    let start = Instant::now();
    let error = connect(&lab.vm1, server).expect_err("a rule rejects it");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
}

#[test]
fn a_rejected_connection_is_reset_at_once() {
    let policy = with_rule("from = \"overlay\"\nto = \"pods\"\nprotocol = \"tcp\"\naction = \"reject\"");
    run("a_rejected_connection_is_reset_at_once", &policy, |lab, gateway| {
        refuses_tcp_at_once(lab, SERVER);
        refuses_tcp_at_once(lab, SERVER_V6);
        assert_eq!(gateway.reason("drop", "rule-reject").unwrap(), 2, "no SYN was repeated");
    });
}

#[test]
fn a_rejected_datagram_is_answered_with_prohibited() {
    let policy = with_rule("from = \"overlay\"\nto = \"pods\"\nsource = [\"10.227.128.11\", \"fd00:227::11\"]\naction = \"reject\"");
    run("a_rejected_datagram_is_answered_with_prohibited", &policy, |lab, _| {
        // include/linux/icmp.h: code 13 is EHOSTUNREACH; net/ipv6/icmp.c: ADM_PROHIBITED is EACCES.
        assert_eq!(told(&udp(&lab.vm1, endpoint(SERVER, 5001))), Some(Errno::HOSTUNREACH));
        assert_eq!(told(&udp(&lab.vm1, endpoint(SERVER_V6, 5001))), Some(Errno::ACCESS));
        // From whom, and which error: ping shows both.
        let ping = |to| String::from_utf8(lab.vm1.output("ping", &["-c1", "-W5", to]).unwrap().stdout).unwrap();
        let shown = ping(SERVER);
        assert!(shown.contains(&format!("From {GATEWAY_OVERLAY}")) && shown.contains("Packet filtered"), "{shown}");
        let shown = ping(SERVER_V6);
        assert!(shown.contains(&format!("From {GATEWAY_OVERLAY_V6}")) && shown.contains("Administratively prohibited"), "{shown}");
    });
}

#[test]
fn a_rejecting_default_answers_and_a_dropping_one_is_silent() {
    let policy = SEED.replacen("default = \"drop\"", "default = \"reject\"", 1);
    run("a_rejecting_default_answers_and_a_dropping_one_is_silent", &policy, |lab, gateway| {
        // Nothing is forwarded from the pods to the overlay, but by the one port forward.
        assert_eq!(told(&udp(&lab.pods, endpoint(VM1, 5001))), Some(Errno::HOSTUNREACH));
        let error = connect(&lab.pods, endpoint(VM1, 22)).expect_err("the default rejects it");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
        assert_eq!(gateway.reason("drop", "default-reject").unwrap(), 2);
        assert_eq!(gateway.rule("default").unwrap(), 2);

        gateway.reload(SEED).unwrap();
        let socket = udp(&lab.pods, endpoint(VM1, 5001));
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        assert_eq!(told(&socket), None);
        assert_eq!(gateway.reason("drop", "default-drop").unwrap(), 1);
    });
}

#[test]
fn path_mtu_discovery_works_through_a_port_forward() {
    let forward = "\n[[nat.destination]]\nname = \"udp\"\nfrom = \"pods\"\nprotocol = \"udp\"\nport = 5001\nto = \"10.227.128.11:5001\"\n";
    let policy = with_rule("from = \"pods\"\nto = \"overlay\"\nprotocol = \"udp\"\naction = \"accept\"") + forward;
    run("path_mtu_discovery_works_through_a_port_forward", &policy, |lab, gateway| {
        let server = lab.vm1.within(|| UdpSocket::bind(endpoint(VM1, 5001))).unwrap().unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        // One hop away, and behind a router: the error must find its way to either.
        for client in [&lab.pods, &lab.onprem] {
            let socket = udp(client, endpoint(GATEWAY_PODS, 5001));
            set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DO).unwrap();
            // 1500 with headers: it fits the sender's link.
            socket.send(&[7; 1472]).unwrap();
            wait_until(PATIENCE, "the path's MTU to be known", || {
                Ok(rustix::net::sockopt::ip_mtu(&socket)? == gateway_tests::lab::OVERLAY_MTU)
            })
            .unwrap();
            let sent: Vec<_> = (0..2).map(|_| socket.send(&[7; 1472]).map_err(|error| Errno::from_io_error(&error))).collect();
            assert!(sent.iter().all(|sent| *sent == Err(Some(Errno::MSGSIZE))), "{sent:?}");
            // The error of the first one waits on the socket besides.
            let _ = socket.take_error().unwrap();
            socket.send(&[8; 1372]).unwrap();
            let mut buffer = [0; 2000];
            assert_eq!(server.recv(&mut buffer).unwrap(), 1372, "the first that fits is the first that arrives");
        }
        assert_eq!(gateway.reason("drop", "too-big").unwrap(), 2);
    });
}

#[test]
fn a_hop_limit_that_ends_at_a_port_forward_is_answered() {
    run("a_hop_limit_that_ends_at_a_port_forward_is_answered", SEED, |lab, gateway| {
        let forward = endpoint(GATEWAY_PODS, 33890);
        let trace = lab.onprem.within(|| {
            let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None)?;
            // The first router takes one, the gateway would need another.
            rustix::net::sockopt::set_ip_ttl(&socket, 2)?;
            rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Send, Some(PATIENCE))?;
            rustix::net::connect(&socket, &forward)
        });
        assert_eq!(trace.unwrap(), Err(Errno::HOSTUNREACH), "time exceeded, as a connecting socket shows it");
        assert!(gateway.reason("drop", "hop-limit").unwrap() >= 1);
    });
}

#[test]
fn who_finds_a_full_table_is_told() {
    let policy = SEED.replacen("version = 1\n", "version = 1\n\n[datapath]\nflows = 64\n", 1);
    run("who_finds_a_full_table_is_told", &policy, |lab, gateway| {
        let flood = |vm: &Namespace, sockets: usize| -> Vec<UdpSocket> {
            let sockets: Vec<_> = (0..sockets).map(|_| udp(vm, endpoint(ONPREM, 7))).collect();
            sockets.iter().for_each(|socket| assert_eq!(socket.send(b"flood").unwrap(), 5));
            sockets
        };
        let refused = |reason: &str| gateway.reason("drop", reason);
        // Each socket is another internal endpoint and needs a mapping of its own. One host may have as many as it has flows, the other
        // takes what is left: so many tries find every place of the table's buckets.
        let _first = flood(&lab.vm2, 64);
        wait_until(PATIENCE, "the host to have its share", || Ok(gateway.mappings()?.len() == 64)).unwrap();
        let _second = flood(&lab.vm1, 1000);
        wait_until(PATIENCE, "the table to be full", || {
            Ok(gateway.mappings()?.len() as u64 + refused("mapping-table-full")? + refused("host-quota")? == 64 + 1000)
        })
        .unwrap();
        assert_eq!(refused("host-quota").unwrap(), 0);
        let full = refused("mapping-table-full").unwrap();
        // A UDP socket that did not ask for them hears of such errors nothing; ping and a connecting socket do.
        let unreachable = format!("From {GATEWAY_OVERLAY} icmp_seq=1 Destination Host Unreachable");
        for (vm, reason, before) in [(&lab.vm2, "host-quota", 0), (&lab.vm1, "mapping-table-full", full)] {
            let shown = String::from_utf8(vm.output("ping", &["-c1", "-W5", SERVER]).unwrap().stdout).unwrap();
            assert!(shown.contains(&unreachable), "{shown}");
            assert_eq!(refused(reason).unwrap(), before + 1, "{reason}");
        }
        let error = connect(&lab.vm1, endpoint(SERVER, 8080)).expect_err("there is no room");
        assert_eq!(error.kind(), ErrorKind::HostUnreachable, "{error}");
        assert_eq!(refused("mapping-table-full").unwrap(), full + 2);
    });
}

#[test]
fn a_flood_of_refused_packets_is_not_answered_by_a_flood() {
    let policy = with_rule("from = \"overlay\"\nto = \"pods\"\nprotocol = \"udp\"\naction = \"reject\"");
    run("a_flood_of_refused_packets_is_not_answered_by_a_flood", &policy, |lab, gateway| {
        let received = || icmp_unreachables(&lab.vm1);
        let before = received();
        let start = Instant::now();
        let socket = lab.vm1.within(|| UdpSocket::bind("0.0.0.0:0")).unwrap().unwrap();
        for port in 1..=5_000 {
            let _ = socket.send_to(b"flood", endpoint(SERVER, port));
        }
        wait_until(PATIENCE, "all to be refused", || Ok(gateway.reason("drop", "rule-reject")? == 5_000)).unwrap();
        // It goes on answering afterwards.
        wait_until(PATIENCE, "an answer", || Ok(told(&udp(&lab.vm1, endpoint(SERVER, 5001))) == Some(Errno::HOSTUNREACH))).unwrap();
        let answered = u128::from(received() - before);
        let allowed = 50 + start.elapsed().as_millis();
        assert!(answered > 0 && answered <= allowed, "{answered} answers, {allowed} allowed");
    });
}

/// ICMP "destination unreachable" messages that have arrived.
fn icmp_unreachables(at: &Namespace) -> u64 {
    let text = at.within(|| std::fs::read_to_string("/proc/thread-self/net/snmp")).unwrap().unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Icmp: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let position = names.split(' ').position(|name| name == "InDestUnreachs").unwrap();
    values.split(' ').nth(position).unwrap().parse().unwrap()
}
