//! The few sysctls that forwarding needs, set and given back.
//!
//! They are those of the calling thread's network namespace, which /proc/sys/net shows. Keys are paths, as interface names may hold dots.
//!
//! What forwarding needs, measured on Linux 6.18 (tests/netlink.rs):
//! - IPv4: `conf/<if>/forwarding` of the ingress interface alone, for `bpf_fib_lookup` (net/core/filter.c) and for the kernel's own
//!   path that finishes punted packets (net/ipv4/route.c). `ip_forward` stays as it is.
//! - IPv6: `conf/<if>/forwarding` satisfies `bpf_fib_lookup`, but the kernel's own path (net/ipv6/ip6_output.c, `ip6_forward`) wants
//!   `conf/all/forwarding`, or since Linux 6.17 `conf/<if>/force_forwarding`. `all` would make every interface a router's, also those
//!   in no zone, so the latter is set where it exists; elsewhere [`forward`] reports that the kernel finishes no IPv6 packets, and
//!   so no hop limit or packet-too-big errors are sent.

mod conntrack;

pub use conntrack::track;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{InterfaceName, SourceValidation};

const ROOT: &str = "/proc/sys/net";

/// `net.ipv4.ip_local_port_range` beside masquerading: the gateway's own connections keep clear of the NAT's ports.
pub const LOCAL_PORTS: &str = "61000 65535";

/// A key that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// The value could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file under /proc/sys/net.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The value could not be written.
    #[error("cannot set {} to {value:?}: {source}; is /proc/sys mounted read-only, as in an unprivileged container?", path.display())]
    Write {
        /// The file under /proc/sys/net.
        path: PathBuf,
        /// The value.
        value: String,
        /// Why.
        source: io::Error,
    },
    /// The interfaces could not be listed.
    #[error("cannot list {}: {source}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// One key that we changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Below /proc/sys/net.
    key: PathBuf,
    /// As it was, to be written back.
    before: String,
    /// As we set it.
    ours: String,
}

/// Every value changed and not given back, in the order of the changes. The daemon keeps it on disk, for the start after a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    entries: Vec<Entry>,
}

/// What the kernel itself can forward on an interface after [`forward`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelPath {
    /// The kernel finishes punted IPv6 packets (errors for hop limit and MTU).
    pub ipv6: bool,
}

/// Values that differ only in their spaces are one: the kernel writes a tab where an operator writes a blank.
fn same(left: &str, right: &str) -> bool {
    left.split_whitespace().eq(right.split_whitespace())
}

/// `None`: no such key, because the interface is gone or the kernel lacks it.
fn read(key: &Path) -> Result<Option<String>, SysctlError> {
    let path = Path::new(ROOT).join(key);
    match fs::read_to_string(&path) {
        Ok(value) => Ok(Some(value.trim().to_owned())),
        Err(error) if is_gone(&error) => Ok(None),
        Err(source) => Err(SysctlError::Read { path, source }),
    }
}

/// False: no such key.
fn write(key: &Path, value: &str) -> Result<bool, SysctlError> {
    let path = Path::new(ROOT).join(key);
    // Neither created nor truncated: procfs needs neither, and a vanished interface must not become an EACCES.
    let result = fs::OpenOptions::new().write(true).open(&path).and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
    match result {
        Ok(()) => Ok(true),
        Err(error) if is_gone(&error) => Ok(false),
        Err(source) => Err(SysctlError::Write { path, value: value.to_owned(), source }),
    }
}

/// ENODEV comes from a file that was opened before its interface went.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

impl Saved {
    /// True when there is nothing to give back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// True when an interface may still forward because of a value that is not given back.
    #[must_use]
    pub fn forwards(&self) -> bool {
        self.entries.iter().any(|entry| entry.key.ends_with("forwarding") || entry.key.ends_with("force_forwarding"))
    }

    /// Sets `key`, a path below /proc/sys/net, and remembers what it was. False: there is no such key. Idempotent; a value that
    /// somebody set in the meantime is set again, and theirs is what is given back.
    ///
    /// # Errors
    /// When the key cannot be read or written.
    pub fn set(&mut self, key: &Path, value: &str) -> Result<bool, SysctlError> {
        let Some(before) = read(key)? else { return Ok(false) };
        if same(&before, value) {
            return Ok(true);
        }
        // Remembered before it is changed; giving back what was not changed is harmless.
        self.entries.retain(|entry| entry.key != key);
        self.entries.push(Entry { key: key.to_owned(), before, ours: value.to_owned() });
        write(key, value)
    }

    /// Gives every value back, last changed first. A key that is gone is skipped, and so is one that somebody else has changed since.
    /// What cannot be written is reported and stays remembered.
    pub fn restore(&mut self) -> Vec<SysctlError> {
        self.restore_where(|_| true)
    }

    /// Gives back the values of interfaces that are none of `kept`: one that has left its zone is no router's interface any more.
    pub fn restore_others(&mut self, kept: &[&InterfaceName]) -> Vec<SysctlError> {
        self.restore_where(|key| interface_of(key).is_some_and(|name| kept.iter().all(|kept| kept.0 != name)))
    }

    fn restore_where(&mut self, left: impl Fn(&Path) -> bool) -> Vec<SysctlError> {
        let (entries, kept) = std::mem::take(&mut self.entries).into_iter().partition::<Vec<_>, _>(|entry| left(&entry.key));
        let mut errors = Vec::new();
        let mut failed = Vec::new();
        for entry in entries.into_iter().rev() {
            let result = match read(&entry.key) {
                Ok(Some(now)) if same(&now, &entry.ours) => write(&entry.key, &entry.before).map(|_| ()),
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                errors.push(error);
                failed.push(entry);
            }
        }
        failed.reverse();
        self.entries = kept;
        self.entries.append(&mut failed);
        errors
    }
}

/// The interface of a key such as `ipv4/conf/eth0/forwarding`; `all` and `default` are none.
fn interface_of(key: &Path) -> Option<&str> {
    let mut parts = key.iter().skip(1);
    let name = if parts.next()? == "conf" { parts.next()?.to_str()? } else { return None };
    (name != "all" && name != "default").then_some(name)
}

fn conf(family: &str, interface: &InterfaceName, key: &str) -> PathBuf {
    Path::new(family).join("conf").join(&interface.0).join(key)
}

/// Lets zone interface `interface` forward, for `bpf_fib_lookup` and for packets that the kernel finishes. Keys of a family or an
/// interface that does not exist are skipped.
///
/// # Errors
/// When a key cannot be read or written; what was set before stays set and remembered.
pub fn forward(saved: &mut Saved, interface: &InterfaceName, validation: SourceValidation) -> Result<KernelPath, SysctlError> {
    saved.set(&conf("ipv4", interface, "forwarding"), "1")?;
    // Hosts must keep sending through the gateway: behind its back their packets would miss the NAT.
    saved.set(&conf("ipv4", interface, "send_redirects"), "0")?;
    let rp_filter = conf("ipv4", interface, "rp_filter");
    // The kernel checks sources of punted packets again. Strict agrees with our own strict check; but where the policy allows asymmetric
    // routing it would swallow them. Loose is the least that can be had, as the larger of `all` and the interface's value counts.
    if validation != SourceValidation::Strict
        && read(&rp_filter)?.is_some_and(|value| value != "2")
        && effective_rp_filter(&rp_filter)? == 1
    {
        saved.set(&rp_filter, "2")?;
    }
    forward_ipv6(saved, interface)
}

fn effective_rp_filter(key: &Path) -> Result<u8, SysctlError> {
    let number = |value: Option<String>| value.and_then(|value| value.parse().ok()).unwrap_or(0);
    Ok(number(read(key)?).max(number(read(Path::new("ipv4/conf/all/rp_filter"))?)))
}

fn forward_ipv6(saved: &mut Saved, interface: &InterfaceName) -> Result<KernelPath, SysctlError> {
    let forwarding = conf("ipv6", interface, "forwarding");
    let Some(value) = read(&forwarding)? else { return Ok(KernelPath { ipv6: false }) };
    if value != "1" {
        // A forwarding interface heeds router advertisements only with 2 (Documentation/networking/ip-sysctl.rst).
        let accept_ra = conf("ipv6", interface, "accept_ra");
        if read(&accept_ra)?.as_deref() == Some("1") {
            saved.set(&accept_ra, "2")?;
        }
        let mut shields = Saved::default();
        let result = shield_others(&mut shields, interface).and_then(|()| saved.set(&forwarding, "1"));
        let lifted = shields.restore().pop().map_or(Ok(()), Err);
        result?;
        lifted?;
    }
    let forced = saved.set(&conf("ipv6", interface, "force_forwarding"), "1")?;
    let all = read(Path::new(IPV6_EVERYWHERE))?.as_deref() == Some("1");
    Ok(KernelPath { ipv6: forced || all })
}

/// Forwarding of IPv6 by the kernel itself, for every interface.
const IPV6_EVERYWHERE: &str = "ipv6/conf/all/forwarding";

/// True when the kernel itself forwards IPv6 only where it does so everywhere (before Linux 6.17), and did not before the gateway came.
///
/// # Errors
/// When the keys cannot be read.
pub fn needs_ipv6_everywhere(saved: &Saved) -> Result<bool, SysctlError> {
    let everywhere = Path::new(IPV6_EVERYWHERE);
    let can_be_forced = read(Path::new("ipv6/conf/default/force_forwarding"))?.is_some();
    let ours = saved.entries.iter().any(|entry| entry.key == everywhere);
    Ok(!can_be_forced && (ours || read(everywhere)?.as_deref() == Some("0")))
}

/// Lets the kernel itself forward IPv6, on every interface: what must not be forwarded has to be refused by a ruleset that already stands.
///
/// # Errors
/// When a key cannot be read or written.
pub fn forward_ipv6_everywhere(saved: &mut Saved) -> Result<(), SysctlError> {
    let mut shields = Saved::default();
    let result = shield_others(&mut shields, &InterfaceName(String::new())).and_then(|()| saved.set(Path::new(IPV6_EVERYWHERE), "1"));
    let lifted = shields.restore().pop().map_or(Ok(()), Err);
    result?;
    lifted
}

/// Turning forwarding on for one interface makes the kernel drop the default routes learned from router advertisements on *every*
/// interface whose `accept_ra` is not 2 (net/ipv6/route.c, `rt6_purge_dflt_routers`), and the next advertisement may be half an hour away.
fn shield_others(shields: &mut Saved, interface: &InterfaceName) -> Result<(), SysctlError> {
    let path = Path::new(ROOT).join("ipv6/conf");
    let list = |source| SysctlError::List { path: path.clone(), source };
    for entry in fs::read_dir(&path).map_err(list)? {
        let Ok(name) = entry.map_err(list)?.file_name().into_string() else { continue };
        if name == "all" || name == "default" || name == interface.0 {
            continue;
        }
        let accept_ra = conf("ipv6", &InterfaceName(name), "accept_ra");
        if read(&accept_ra)?.as_deref() == Some("1") {
            shields.set(&accept_ra, "2")?;
        }
    }
    Ok(())
}

/// Sets the ports of the gateway's own connections to `range`, as "61000 65535" ([`LOCAL_PORTS`]).
///
/// # Errors
/// When the key cannot be read or written, or the kernel refuses the range.
pub fn local_ports(saved: &mut Saved, range: &str) -> Result<(), SysctlError> {
    saved.set(Path::new("ipv4/ip_local_port_range"), range).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(key: &str) -> Saved {
        Saved { entries: vec![Entry { key: key.into(), before: "0".into(), ours: "1".into() }] }
    }

    #[test]
    fn a_key_tells_its_interface() {
        let dotted = conf("ipv6", &InterfaceName("lan.7".into()), "forwarding");
        assert_eq!(interface_of(&dotted), Some("lan.7"));
        assert_eq!(interface_of(Path::new("ipv4/ip_local_port_range")), None);
        assert_eq!(interface_of(Path::new(IPV6_EVERYWHERE)), None);
    }

    #[test]
    fn only_forwarding_that_is_left_on_counts_as_forwarding() {
        let lan = InterfaceName("lan.7".into());
        for key in [conf("ipv4", &lan, "forwarding"), conf("ipv6", &lan, "forwarding"), conf("ipv6", &lan, "force_forwarding")] {
            assert!(kept(key.to_str().unwrap()).forwards(), "{}", key.display());
        }
        assert!(!kept("ipv4/ip_local_port_range").forwards());
        assert!(!kept("ipv4/conf/lan.7/rp_filter").forwards());
        // The interface is gone, and its forwarding with it.
        let mut gone = kept("ipv4/conf/gone-for-good/forwarding");
        assert!(gone.restore().is_empty() && !gone.forwards());
    }
}
