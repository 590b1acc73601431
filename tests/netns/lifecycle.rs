//! Starting and stopping: nothing is left behind, nobody runs twice, and only root asks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use gateway_tests::gateway::{Start, program, unique_instance};
use gateway_tests::lab::SERVER;
use gateway_tests::{Gateway, Lab};
use tempfile::TempDir;

use crate::bench::{in_a_lab, in_every_mode};
use crate::machine::Machine;
use crate::policy::Policy;
use crate::traffic::{answers, is_silent};

in_every_mode! { a_stopped_gateway_forwards_no_more }
in_a_lab! {
    a_clean_stop_leaves_the_machine_as_it_was
    a_second_daemon_of_the_same_instance_refuses
    two_instances_run_at_once
    without_a_daemon_every_live_command_says_so
    only_root_asks_and_only_root_runs
    systemd_hears_of_readiness_life_and_end
    a_broken_policy_starts_nothing
}

fn a_stopped_gateway_forwards_no_more(lab: &Lab, gateway: &Gateway<'_>) {
    assert!(answers(&lab.vm1, SERVER));
    gateway.stop().unwrap();
    assert!(is_silent(&lab.vm1, SERVER));
}

fn a_clean_stop_leaves_the_machine_as_it_was(lab: &Lab) {
    // What somebody else has set is not ours to lose.
    lab.gateway.ip("route add 192.0.2.0/24 via 10.128.0.1\nlink set eth1 mtu 1450").unwrap();
    lab.gateway.run("nft", &["add table inet mine { chain c { type filter hook input priority 0; } ; }"]).unwrap();
    lab.gateway.sysctl("net/ipv4/ip_local_port_range", "40000 50000").unwrap();
    let before = Machine::of(&lab.gateway);
    let routes = "[[routes]]\nto = \"172.16.0.0/12\"\nvia = \"10.128.0.1\"\n\n[[routes]]\nto = \"172.20.0.0/16\"\nvia = \"10.128.0.1\"\n\
                  source = \"10.227.128.0/21\"";
    for mode in [crate::bench::Mode::Tc, crate::bench::Mode::Xdp] {
        let gateway = Gateway::start(&lab.gateway, Policy::seed().mode(mode).and(routes).text()).unwrap();
        assert!(answers(&lab.vm1, SERVER));
        assert_ne!(Machine::of(&lab.gateway), before);
        assert!(gateway.run_directory().exists());
        gateway.stop().unwrap();
        Machine::of(&lab.gateway).assert_is(&before);
        assert!(!gateway.run_directory().exists(), "{:?}", fs::read_dir(gateway.run_directory()).unwrap().collect::<Vec<_>>());
    }
}

/// What a program that refuses says: one line.
fn one_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output).into_owned();
    assert_eq!(text.trim_end().lines().count(), 1, "one clear line, not:\n{text}");
    text
}

fn a_second_daemon_of_the_same_instance_refuses(lab: &Lab) {
    let first = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    let start = Start { instance: Some(first.instance()), ..Start::policy(Policy::seed().text().to_owned().leak()) };
    let program = program().unwrap().display().to_string();
    let policy = first.policy_path().display().to_string();
    let second = lab.gateway.output(&program, &["run", "--policy", &policy, "--instance", start.instance.unwrap()]).unwrap();
    assert_eq!(second.status.code(), Some(1));
    let line = one_line(&second.stderr);
    assert!(line.contains("already runs") && line.contains(first.instance()), "{line}");
    assert!(answers(&lab.vm1, SERVER), "the first goes on");
    first.stop().unwrap();
}

fn two_instances_run_at_once(lab: &Lab) {
    let other = Lab::unique("netns").unwrap();
    let (left, right) = (unique_instance(), unique_instance());
    let policy = Policy::seed();
    let first = Gateway::start_as(&lab.gateway, &Start { instance: Some(&left), ..Start::policy(policy.text()) }).unwrap();
    let second = Gateway::start_as(&other.gateway, &Start { instance: Some(&right), ..Start::policy(policy.text()) }).unwrap();
    assert!(answers(&lab.vm1, SERVER) && answers(&other.vm1, SERVER));
    assert_eq!(
        (first.status().unwrap()["instance"].as_str(), second.status().unwrap()["instance"].as_str()),
        (Some(&*left), Some(&*right))
    );
    assert_eq!(first.flows().unwrap().len(), 1);
    first.stop().unwrap();
    assert!(is_silent(&lab.vm1, SERVER));
    assert!(answers(&other.vm2, SERVER), "the other goes on");
    assert_eq!(second.flows().unwrap().len(), 2);
    second.stop().unwrap();
}

fn without_a_daemon_every_live_command_says_so(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    let check = || {
        for command in ["status", "flows", "mappings", "drops"] {
            let output = gateway.command(command).unwrap();
            assert!(!output.status.success(), "{command}");
            assert!(output.stdout.is_empty(), "{command}");
            let line = one_line(&output.stderr);
            assert!(line.contains("no gateway is running") && line.contains(gateway.instance()), "{line}");
        }
    };
    gateway.stop().unwrap();
    check();
    // And beside the socket that a crash leaves.
    let policy = Policy::seed();
    let start = Start { instance: Some(gateway.instance()), ..Start::policy(policy.text()) };
    Gateway::start_as(&lab.gateway, &start).unwrap().crash().unwrap();
    check();
}

fn only_root_asks_and_only_root_runs(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    // A copy where everybody may go: the build need not be such a place.
    let place = TempDir::with_prefix("gateway-nobody-").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (copy, policy) = (place.path().join("gateway"), place.path().join("policy.toml"));
    fs::copy(program().unwrap(), &copy).unwrap();
    fs::write(&policy, Policy::seed().text()).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let (copy, policy) = (copy.display().to_string(), policy.display().to_string());
    let nobody = |words: &[&str]| {
        let words = [&["--reuid=65534", "--regid=65534", "--clear-groups", &copy][..], words].concat();
        lab.gateway.output("setpriv", &words).unwrap()
    };
    for command in ["status", "flows", "mappings", "drops"] {
        let asked = nobody(&[command, "--instance", gateway.instance(), "--json"]);
        assert!(!asked.status.success() && asked.stdout.is_empty(), "{command}");
        assert!(one_line(&asked.stderr).contains("root"), "{}", String::from_utf8_lossy(&asked.stderr));
    }
    let run = nobody(&["run", "--policy", &policy, "--instance", &unique_instance()]);
    assert_eq!(run.status.code(), Some(1));
    assert!(one_line(&run.stderr).contains("root"), "{}", String::from_utf8_lossy(&run.stderr));
    for path in [gateway.run_directory(), gateway.run_directory().join("control.sock")] {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{} is open to others", path.display());
    }
    assert!(answers(&lab.vm1, SERVER));
}

fn systemd_hears_of_readiness_life_and_end(lab: &Lab) {
    let place = TempDir::with_prefix("gateway-notify-").unwrap();
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut heard = String::new();
    let mut wait_for = |wanted: &str| {
        while !heard.lines().any(|line| line == wanted) {
            let mut buffer = [0; 512];
            let length = match socket.recv(&mut buffer) {
                Ok(length) => length,
                // By a signal to another thread of this test's process.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => panic!("no {wanted} ({error}) in:\n{heard}"),
            };
            heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
            heard.push('\n');
        }
        heard.clear();
    };
    let environment = [format!("NOTIFY_SOCKET={}", path.display()), "WATCHDOG_USEC=400000".to_owned()];
    let policy = Policy::seed();
    let start = Start { environment: &environment, ..Start::policy(policy.text()) };
    let gateway = Gateway::launch(&lab.gateway, &start).unwrap();
    wait_for("READY=1");
    assert!(answers(&lab.vm1, SERVER), "ready means that it forwards");
    for _ in 0..3 {
        wait_for("WATCHDOG=1");
    }
    gateway.stop().unwrap();
    wait_for("STOPPING=1");
}

fn a_broken_policy_starts_nothing(lab: &Lab) {
    let before = Machine::of(&lab.gateway);
    let policy = Policy::seed().replace("action = \"accept\"", "action = \"accpet\"").replace("pods = [\"eth0\"]", "pods = \"eth0\"");
    let gateway = Gateway::launch(&lab.gateway, &Start::policy(policy.text())).unwrap();
    assert_eq!(gateway.wait_end().unwrap().code(), Some(1));
    let log = gateway.log();
    let path = gateway.policy_path().display().to_string();
    for (text, what) in [("pods = \"eth0\"", "eth0"), ("accpet", "accept")] {
        let number = 1 + policy.text().lines().position(|line| line.contains(text)).unwrap();
        assert!(log.contains(&format!("{path}:{number}:")) && log.contains(what), "no {path}:{number}: in\n{log}");
    }
    Machine::of(&lab.gateway).assert_is(&before);
    assert!(!gateway.run_directory().exists());
}
