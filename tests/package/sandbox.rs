//! What the unit takes away from the program.

use crate::bench::with_seed;

/// linux/capability.h
const CAP_NET_ADMIN: u64 = 12;
const CAP_NET_RAW: u64 = 13;
const CAP_PERFMON: u64 = 38;
const CAP_BPF: u64 = 39;

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn a_gateway_that_forwards_has_four_capabilities_and_a_read_only_machine() {
    with_seed("sandbox::a_gateway_that_forwards_has_four_capabilities_and_a_read_only_machine", |_, container, _| {
        let process = container.property("gateway", "MainPID").unwrap();
        let status = container.run(&format!("cat /proc/{process}/status")).unwrap();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        let wanted = [CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON, CAP_BPF].iter().fold(0u64, |mask, capability| mask | 1 << capability);
        for set in ["CapBnd:", "CapEff:", "CapPrm:"] {
            assert_eq!(u64::from_str_radix(&field(set), 16).unwrap(), wanted, "{set}");
        }
        assert_eq!((field("NoNewPrivs:").as_str(), field("Seccomp:").as_str()), ("1", "2"));
        // As the program sees the machine.
        let inside = |line: &str| container.output(&format!("nsenter --target {process} --mount sh -c '{line}'")).unwrap();
        for path in ["/etc/gateway", "/usr/bin", "/var/lib", "/sys"] {
            assert!(!inside(&format!("touch {path}/x")).status.success(), "{path} is writable");
        }
        assert!(inside("touch /run/gateway/x && rm /run/gateway/x").status.success());
    });
}

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn systemd_finds_little_to_complain_of() {
    with_seed("sandbox::systemd_finds_little_to_complain_of", |_, container, _| {
        // 0 is a program that may do nothing, 10 one that may do everything.
        let said = container.run("systemd-analyze security --no-pager --threshold=25 gateway.service").unwrap();
        println!("{said}");
        let said = container
            .run("cd /usr/lib/systemd/system && systemd-analyze verify --man=no ./gateway.service ./gateway@.service 2>&1")
            .unwrap();
        assert!(!said.contains("gateway"), "{said}");
    });
}
