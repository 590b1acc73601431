//! Network namespaces that end with the thread that made them.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use gateway_daemon::inventory::{Inventory, Link};
use gateway_daemon::model::InterfaceName;
use gateway_daemon::netlink::Observer;
use nix::sched::{CloneFlags, setns, unshare};

/// No step of a test waits longer.
const PATIENCE: Duration = Duration::from_secs(20);

fn enter_new() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("cannot make a network namespace: {error}; run as root"))
}

fn path() -> PathBuf {
    let thread = rustix::thread::gettid();
    PathBuf::from(format!("/proc/{}/task/{}/ns/net", std::process::id(), thread.as_raw_nonzero()))
}

/// Says so where it is seen: the test harness hides what a passing test prints, but not what it writes to standard error itself.
pub fn skipped(test: &str, reason: &str) {
    let mut console = std::io::stderr();
    writeln!(console, "{test}: skipped: {reason}").unwrap();
}

/// Runs `test` on a thread in a namespace of its own, or says that it is skipped.
pub fn run<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if let Err(reason) = enter_new() {
                return Some(reason);
            }
            sh("ip link set lo up");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { tokio::time::timeout(6 * PATIENCE, test()).await.expect("the test takes too long") });
            None
        });
        match thread.join() {
            Ok(None) => {}
            Ok(Some(reason)) => skipped(name, &reason),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
}

/// Runs a shell command in the calling thread's namespace and gives its output.
pub fn sh(command: &str) -> String {
    let output = Command::new("sh").args(["-ec", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Another namespace: a host beside the gateway.
pub struct Peer {
    path: PathBuf,
    _alive: mpsc::Sender<()>,
}

impl Peer {
    pub fn new() -> Self {
        let (ready, made) = mpsc::channel();
        let (_alive, ended) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            enter_new().unwrap();
            ready.send(path()).unwrap();
            // Until the Peer is dropped.
            let _ = ended.recv();
        });
        Self { path: made.recv().unwrap(), _alive }
    }

    /// A veth pair: `ours` here, `theirs` in the peer, both up.
    pub fn connect(&self, ours: &str, theirs: &str) {
        let path = self.path.display();
        sh(&format!("ip link add {ours} type veth peer name {theirs}; ip link set {theirs} netns {path}; ip link set {ours} up"));
        self.sh(&format!("ip link set lo up; ip link set {theirs} up"));
    }

    /// Runs a shell command in the peer.
    pub fn sh(&self, command: &str) -> String {
        sh(&self.wrap(command))
    }

    /// True when the command succeeds in the peer.
    pub fn can(&self, command: &str) -> bool {
        Command::new("sh").args(["-ec", &self.wrap(command)]).output().unwrap().status.success()
    }

    /// Runs `task` on a thread in the peer, and gives what it gives.
    pub fn inside<T: Send + 'static>(&self, task: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = File::open(&self.path).unwrap();
        let thread = std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            task()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn wrap(&self, command: &str) -> String {
        format!("nsenter --net={} sh -ec '{command}'", self.path.display())
    }
}

/// `eth9` with 10.0.0.1/24, wired to nothing that answers. Neither end has a link-local address, and both are there once the kernel has
/// noticed the wire: all that would follow in its own time, on a busy machine in the midst of a test, and is a routing change.
pub fn wired() {
    sh("ip link add eth9 type veth peer name eth9.peer; ip addr add 10.0.0.1/24 dev eth9");
    sh("for end in eth9 eth9.peer; do ip link set $end addrgenmode none up; done");
    // Whoever asks ethtool for the link has the kernel notice it first (net/ethtool/ioctl.c, `ethtool_op_get_link`).
    sh("for end in eth9 eth9.peer; do ethtool $end | grep -q 'Link detected: yes'; ip link show $end | grep -q 'state UP'; done");
}

/// Two hosts and the gateway between them: `a` and `b` (10.1.0.2, fd01::2 and 10.2.0.2, fd02::2) behind `zone.a` and `zone.b`.
pub fn two_hosts() -> (Peer, Peer) {
    let hosts = [("a", 1), ("b", 2)].map(|(zone, net)| {
        let name = format!("host.{zone}");
        let peer = Peer::new();
        peer.connect(&format!("zone.{zone}"), &name);
        sh(&format!("ip addr add 10.{net}.0.1/24 dev zone.{zone}; ip -6 addr add fd0{net}::1/64 dev zone.{zone} nodad"));
        peer.sh(&format!("ip addr add 10.{net}.0.2/24 dev {name}; ip -6 addr add fd0{net}::2/64 dev {name} nodad"));
        peer.sh(&format!("ip route add default via 10.{net}.0.1; ip -6 route add default via fd0{net}::1"));
        peer
    });
    hosts.into()
}

pub fn name(name: &str) -> InterfaceName {
    InterfaceName(name.to_owned())
}

/// The observed link of that name.
pub fn link(observer: &Observer, wanted: &str) -> Link {
    observer.inventory().link(&name(wanted)).unwrap_or_else(|| panic!("no link {wanted} observed")).clone()
}

/// Follows until the inventory is as wanted.
pub async fn until(observer: &mut Observer, what: &str, wanted: impl Fn(&Inventory) -> bool) {
    let follow = async {
        while !wanted(observer.inventory()) {
            observer.changed().await.unwrap();
        }
    };
    let result = tokio::time::timeout(PATIENCE, follow).await;
    assert!(result.is_ok(), "not observed: {what}; last: {:#?}", observer.inventory());
}

/// Follows everything that was announced until now, and gives the count of routing changes. A link that is down marks the end: its
/// coming is announced after the rest, and is no routing change.
pub async fn settled(observer: &mut Observer) -> u64 {
    sh("ip link add marker type bridge");
    until(observer, "the marker", |inventory| inventory.link(&name("marker")).is_some()).await;
    let counted = observer.inventory().routing_changes;
    sh("ip link del marker");
    until(observer, "the marker's end", |inventory| inventory.link(&name("marker")).is_none()).await;
    let removal = observer.inventory().routing_changes;
    assert!(removal > counted, "a vanished link is a routing change");
    removal
}

/// How many routing changes the command caused.
pub async fn routing_changes(observer: &mut Observer, command: &str) -> u64 {
    let before = settled(observer).await;
    sh(command);
    sh("ip link add marker type bridge");
    until(observer, "the marker", |inventory| inventory.link(&name("marker")).is_some()).await;
    let after = observer.inventory().routing_changes;
    sh("ip link del marker");
    until(observer, "the marker's end", |inventory| inventory.link(&name("marker")).is_none()).await;
    after - before
}
