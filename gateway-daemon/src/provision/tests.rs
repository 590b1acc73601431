//! From what a hypervisor gives to files in place.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use super::*;

const POLICY: &str = include_str!("../../../tests/policies/seed.toml");

/// A machine: a root to configure, and sources.
struct Machine {
    root: TempDir,
    sources: Vec<TempDir>,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/systemd/network")).unwrap();
        fs::write(root.path().join("etc/shadow"), "root:*:20000:0:99999:7:::\ndaemon:*:20000::::::\n").unwrap();
        fs::write(root.path().join("etc/systemd/network/80-pods.network"), "[Match]\n").unwrap();
        Self { root, sources: Vec::new() }
    }

    fn source(mut self, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self.sources.push(directory);
        self
    }

    fn provision(&self) -> Report {
        let sources = self.sources.iter().map(|source| source.path().to_owned()).collect();
        run(&Options { root: self.root.path().to_owned(), sources })
    }

    fn network_files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root.path().join("etc/systemd/network")).unwrap().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn file(&self, path: &str) -> String {
        fs::read_to_string(self.root.path().join(path)).unwrap_or_else(|error| format!("({error})"))
    }
}

/// User data with the policy in its own section.
fn user_data(policy: &str) -> String {
    let indented: String = policy.lines().map(|line| format!("    {line}\n")).collect();
    format!("#cloud-config\ngateway:\n  policy: |\n{indented}")
}

#[test]
fn nocloud_gives_the_policy_the_name_and_the_key() {
    let user_data = user_data(POLICY) + "hostname: edge\nssh_authorized_keys:\n  - ssh-ed25519 AAAA me\n";
    let machine = Machine::new().source(&[("meta-data", "instance-id: a\nlocal-hostname: vm-name\n"), ("user-data", &user_data)]);
    let report = machine.provision();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.policy, PolicyState::Given);
    assert_eq!(machine.file("etc/gateway/policy.toml").trim(), POLICY.trim());
    assert_eq!(machine.file("etc/hostname"), "edge\n", "user data outranks the VM's name");
    assert_eq!(machine.file("root/.ssh/authorized_keys"), "ssh-ed25519 AAAA me\n");
    assert!(machine.file("etc/shadow").starts_with("root:*:"), "no password was given, so none is set");
}

#[test]
fn a_policy_written_as_a_file_is_the_policy() {
    let indented: String = POLICY.lines().map(|line| format!("      {line}\n")).collect();
    let text = format!("#cloud-config\nwrite_files:\n  - path: /etc/gateway/policy.toml\n    content: |\n{indented}");
    let machine = Machine::new().source(&[("user-data", &text)]);
    assert_eq!(machine.provision().policy, PolicyState::Given);
}

#[test]
fn files_are_written_with_their_modes_and_never_outside_the_root() {
    let text = "#cloud-config\nwrite_files:\n\
                - {path: /opt/a, content: aGVsbG8=, encoding: b64, permissions: '0755'}\n\
                - {path: /opt/b, content: x, permissions: 0600}\n\
                - {path: /opt/../../escape, content: x}\n";
    let machine = Machine::new().source(&[("user-data", text)]);
    let report = machine.provision();
    assert_eq!(machine.file("opt/a"), "hello");
    let mode = |path| fs::metadata(machine.root.path().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("opt/a"), mode("opt/b")), (0o755, 0o600));
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert!(report.problems[0].contains("/opt/../../escape"), "{:?}", report.problems);
}

#[test]
fn a_password_in_clear_text_is_refused_and_a_hash_opens_the_console() {
    let machine = Machine::new().source(&[("user-data", "#cloud-config\npassword: secret\n")]);
    assert!(machine.provision().problems[0].contains("crypt(5)"));
    assert!(machine.file("etc/shadow").starts_with("root:*:"));
    let machine = Machine::new()
        .source(&[("user-data", &format!("#cloud-config\nusers:\n  - default\n  - {{name: root, hashed_passwd: {HASH}}}\n"))]);
    assert_eq!(machine.provision().problems, Vec::<String>::new());
    assert_eq!(machine.file("etc/shadow"), format!("root:{HASH}:20000:0:99999:7:::\ndaemon:*:20000::::::\n"));
}

const HASH: &str = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";

#[test]
fn a_key_and_a_password_that_no_source_says_any_more_are_withdrawn() {
    let open = format!("#cloud-config\nssh_authorized_keys: [ssh-ed25519 AAAA me]\npassword: {HASH}\n");
    let machine = Machine::new().source(&[("user-data", &open)]);
    assert_eq!(machine.provision().login, Login { keys: true, password: true });
    let say = |text: &str| {
        fs::write(machine.sources[0].path().join("user-data"), text).unwrap();
        machine.provision().login
    };
    assert_eq!(say("#cloud-config\nhostname: [\n"), Login { keys: true, password: true }, "a mistake locks nobody out");
    assert_eq!(machine.file("root/.ssh/authorized_keys"), "ssh-ed25519 AAAA me\n");
    assert!(machine.file("etc/shadow").starts_with(&format!("root:{HASH}:")));
    assert_eq!(say(&format!("#cloud-config\npassword: {HASH}\n")), Login { keys: false, password: true });
    assert!(!machine.root.path().join("root/.ssh/authorized_keys").exists());
    assert_eq!(say("#cloud-config\n"), Login::default());
    assert_eq!(machine.file("etc/shadow"), "root:*:20000:0:99999:7:::\ndaemon:*:20000::::::\n");
}

#[test]
fn a_login_that_no_source_opened_is_not_closed() {
    let machine = Machine::new().source(&[("user-data", "#cloud-config\n")]);
    fs::write(machine.root.path().join("etc/shadow"), format!("root:{HASH}:20000:0:99999:7:::\n")).unwrap();
    fs::create_dir_all(machine.root.path().join("root/.ssh")).unwrap();
    fs::write(machine.root.path().join("root/.ssh/authorized_keys"), "ssh-ed25519 AAAA me\n").unwrap();
    for _ in 0..2 {
        assert_eq!(machine.provision().login, Login::default());
    }
    assert!(machine.file("etc/shadow").contains(HASH));
    assert_eq!(machine.file("root/.ssh/authorized_keys"), "ssh-ed25519 AAAA me\n");
}

#[test]
fn what_does_nothing_here_is_named() {
    let machine = Machine::new().source(&[("user-data", "#cloud-config\npackages: [vim]\nruncmd:\n  - [reboot]\nssh_pwauth: false\n")]);
    let problems = machine.provision().problems.join("\n");
    assert!(problems.contains("`packages`") && problems.contains("`runcmd`") && !problems.contains("ssh_pwauth"), "{problems}");
    let machine = Machine::new().source(&[("user-data", "#!/bin/sh\nreboot\n")]);
    assert!(machine.provision().problems[0].contains("#cloud-config"));
}

#[test]
fn broken_user_data_is_told_with_its_line_and_the_rest_holds() {
    let machine = Machine::new().source(&[("user-data", "#cloud-config\nhostname: [\n"), ("meta-data", "local-hostname: vm\n")]);
    let report = machine.provision();
    assert!(report.problems[0].contains("user-data cannot be understood"), "{:?}", report.problems);
    assert_eq!(machine.file("etc/hostname"), "vm\n");
}

#[test]
fn a_policy_disk_outranks_user_data_and_user_data_a_config_drive() {
    let other = POLICY.replace("33890", "44444");
    let third = POLICY.replace("33890", "55555");
    let drive = [("openstack/latest/meta_data.json", r#"{"hostname": "drive"}"#), ("openstack/latest/user_data", &user_data(&third))];
    let machine = Machine::new().source(&drive).source(&[("user-data", &user_data(&other))]).source(&[("policy.toml", POLICY)]);
    let report = machine.provision();
    assert!(report.sources[0].starts_with("policy ") && report.sources[2].starts_with("ConfigDrive"), "{:?}", report.sources);
    assert_eq!(machine.file("etc/gateway/policy.toml"), POLICY);
    assert_eq!(machine.file("etc/hostname"), "drive\n", "what the higher ones do not say, the lower one may");
    let machine = Machine::new().source(&drive);
    machine.provision();
    assert!(machine.file("etc/gateway/policy.toml").contains("55555"));
}

#[test]
fn a_broken_policy_leaves_the_last_good_one_in_place() {
    let mut machine = Machine::new().source(&[("policy.toml", POLICY)]);
    assert_eq!(machine.provision().policy, PolicyState::Given);
    let broken = POLICY.replace("\"masquerade\"", "\"masquerad\"");
    fs::write(machine.sources[0].path().join("policy.toml"), &broken).unwrap();
    let report = machine.provision();
    assert_eq!(report.policy, PolicyState::LastGood);
    assert!(report.problems[0].contains("masquerad") && report.problems[0].contains("policy:"), "{:?}", report.problems);
    assert_eq!(machine.file("etc/gateway/policy.toml"), POLICY);
    machine.sources.clear();
    let machine = machine.source(&[("hostname", "a\n")]);
    assert_eq!(machine.provision().policy, PolicyState::LastGood, "also where no source has one any more");
}

#[test]
fn a_broken_policy_without_an_earlier_one_forwards_nothing() {
    let machine = Machine::new().source(&[("policy.toml", "version = 7\n")]);
    let report = machine.provision();
    assert_eq!(report.policy, PolicyState::Nothing);
    assert!(crate::policy::load_file(&machine.root.path().join("etc/gateway/policy.toml")).is_ok());
    assert_eq!(Report::read(machine.root.path()).unwrap(), report, "`gateway status` finds it");
}

#[test]
fn links_are_found_by_their_macs() {
    let network = "version: 2\nethernets:\n  pods:\n    match: {macaddress: '02:00:00:00:00:0A'}\n    set-name: eth0\n    dhcp4: true\n  overlay:\n    \
                   match: {macaddress: '02:00:00:00:00:0b'}\n    addresses: [10.227.128.15/21]\n    mtu: 1400\n    \
                   routes: [{to: default, via: 10.227.128.1, metric: 5}]\n    nameservers: {addresses: [10.96.0.10]}\n";
    for text in [network.to_owned(), format!("network:\n{}", network.lines().map(|line| format!("  {line}\n")).collect::<String>())] {
        let machine = Machine::new().source(&[("user-data", ""), ("network-config", &text)]);
        let report = machine.provision();
        assert_eq!(report.problems, Vec::<String>::new());
        let directory = |name: &str| machine.file(&format!("etc/systemd/network/{name}"));
        assert_eq!(directory("11-pods.link"), "[Match]\nMACAddress=02:00:00:00:00:0a\nKind=!*\n\n[Link]\nName=eth0\n");
        assert!(directory("11-pods.network").contains("DHCP=ipv4\n"));
        let overlay = directory("10-overlay.network");
        for line in ["MACAddress=02:00:00:00:00:0b", "Address=10.227.128.15/21", "MTUBytes=1400", "Gateway=10.227.128.1", "DNS=10.96.0.10"]
        {
            assert!(overlay.lines().any(|found| found == line), "{line} in\n{overlay}");
        }
        assert!(!machine.root.path().join("etc/systemd/network/80-pods.network").exists(), "the default gave way");
    }
}

#[test]
fn a_value_cannot_leave_its_line() {
    let network = "version: 2\nethernets:\n  a:\n    match: {name: \"eth0\\nKernelCommandLine=x\"}\n  b: {set-name: 'a b'}\nbonds: {}\n";
    let machine = Machine::new().source(&[("user-data", "#cloud-config\nhostname: \"a\\nb\"\n"), ("network-config", network)]);
    let report = machine.provision();
    assert_eq!(report.problems.len(), 4, "{:#?}", report.problems);
    assert_eq!(machine.network_files(), ["80-pods.network"], "nothing of it was written, and the first link stays reachable");
    assert!(!machine.root.path().join("etc/hostname").exists());
}

#[test]
fn a_mistyped_link_leaves_the_machine_reachable_and_the_other_link_holds() {
    let network =
        "version: 2\nethernets:\n  pods: {match: {macaddress: '02:00:00:00:00'}, dhcp4: true}\n  eth1: {addresses: [10.1.0.1/24]}\n";
    let machine = Machine::new().source(&[("user-data", ""), ("network-config", network)]);
    let problems = machine.provision().problems;
    assert!(problems.len() == 1 && problems[0].contains("02:00:00:00:00"), "{problems:?}");
    assert_eq!(machine.network_files(), ["10-eth1.network", "80-pods.network"]);
}

#[test]
fn a_route_or_domain_that_is_none_is_told_and_the_others_hold() {
    let network = "version: 2\nethernets:\n  eth0:\n    addresses: [10.1.0.1/24]\n    nameservers: {search: [corp.example, 'a b']}\n    routes:\n\
                   \x20   - {to: 10.300.0.0/16, via: 10.1.0.2}\n    - {to: 'fd00::/8', via: 10.1.0.2}\n    - {to: 10.2.0.0/16, via: 10.1.0.2}\n";
    let machine = Machine::new().source(&[("user-data", ""), ("network-config", network)]);
    let problems = machine.provision().problems;
    for (told, expected) in [("10.300.0.0/16", "prefix"), ("fd00::/8", "family"), ("a b", "domain")] {
        assert!(problems.iter().any(|problem| problem.contains(told) && problem.contains(expected)), "{told} in {problems:#?}");
    }
    assert_eq!(problems.len(), 3, "{problems:#?}");
    let file = machine.file("etc/systemd/network/10-eth0.network");
    assert_eq!(file.matches("[Route]").count(), 1, "{file}");
    assert!(file.contains("Destination=10.2.0.0/16\n") && file.contains("Domains=corp.example\n"), "{file}");
    assert_eq!(machine.network_files(), ["10-eth0.network"]);
}

#[test]
fn asked_again_it_changes_nothing() {
    let text = "#cloud-config\nwrite_files:\n- {path: /opt/a, content: x, append: true}\n";
    let machine = Machine::new().source(&[("user-data", text), ("policy.toml", POLICY)]);
    machine.provision();
    let before = fs::metadata(machine.root.path().join("etc/gateway/policy.toml")).unwrap().modified().unwrap();
    machine.provision();
    assert_eq!(machine.file("opt/a"), "x");
    let after = fs::metadata(machine.root.path().join("etc/gateway/policy.toml")).unwrap().modified().unwrap();
    assert_eq!(before, after, "a daemon that watches the file would reload for nothing");
    assert!(Path::new(REPORT).starts_with("/run"));
}
