//! What people see, as golden text, and what they may type.

use clap::{CommandFactory, Parser};

use super::screen::{CommandError, Screen, Style};
use super::{Cli, Command, drops, flows, mappings, reload, status};
use crate::control::tests::{daemon::Daemon, sample};
use crate::control::view::{DropsView, FlowState, FlowsView, Protocol};
use crate::control::{Client, FlowFilter, Response};

const PIPE: Style = Style { colour: false, width: None };
const TERMINAL: Style = Style { colour: false, width: Some(100) };

#[track_caller]
fn golden(actual: &str, expected: &str) {
    assert_eq!(actual, expected.trim_start_matches('\n'), "\n--- this is what it shows:\n{actual}");
}

fn all() -> FlowsView {
    FlowFilter::default().select(sample::flows())
}

#[test]
fn flows_into_a_pipe_are_one_line_each() {
    golden(
        &flows::text(&all(), PIPE),
        r#"
PROTO  INTERNAL               EXTERNAL          REMOTE               STATE        RULE     NAT  ZONES              PACKETS     BYTES  IDLE  EXPIRES
tcp    10.227.128.11:44312    192.0.2.10:61002  198.51.100.80:8080   established  to-pods  out  overlay->pods        12/10  1.2K/14K    3s     2h3m
tcp    10.227.128.11:3389     192.0.2.10:33389  203.0.113.7:50000    closing      rdp-in   rdp  onprem->overlay  1.5M/3.0M  90M/4.5G  1m1s    2m59s
icmp   10.227.128.12:7        192.0.2.9:7       198.51.100.80:7      established  to-pods  out  overlay->pods          1/1     84/84    3s      57s
udp    [2001:db8:1::11]:5353  -                 [2001:db8:2::53]:53  opening      to-pods  -    overlay->pods          1/0      68/0    0s       2m
"#,
    );
}

#[test]
fn flows_on_a_terminal_fit_100_columns() {
    let text = flows::text(&all(), TERMINAL);
    golden(
        &text,
        r#"
PROTO  INTERNAL               EXTERNAL          REMOTE               STATE           BYTES
tcp    10.227.128.11:44312    192.0.2.10:61002  198.51.100.80:8080   established  1.2K/14K
       overlay->pods, rule to-pods, nat out, 12/10 packets, idle 3s, expires in 2h3m
tcp    10.227.128.11:3389     192.0.2.10:33389  203.0.113.7:50000    closing      90M/4.5G
       onprem->overlay, rule rdp-in, nat rdp, 1.5M/3.0M packets, idle 1m1s, expires in 2m59s
icmp   10.227.128.12:7        192.0.2.9:7       198.51.100.80:7      established     84/84
       overlay->pods, rule to-pods, nat out, 1/1 packets, idle 3s, expires in 57s
udp    [2001:db8:1::11]:5353  -                 [2001:db8:2::53]:53  opening          68/0
       overlay->pods, rule to-pods, 1/0 packets, idle 0s, expires in 2m
4 flows
"#,
    );
    assert!(text.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn a_port_forward_under_source_nat_shows_both_public_endpoints() {
    let mut view = all();
    view.flows[1].external = Some("192.0.2.77:1024".parse().unwrap());
    let text = flows::text(&view, TERMINAL);
    assert!(text.contains("10.227.128.11:3389     192.0.2.77:1024") && text.contains(", sent to 192.0.2.10:33389,"), "{text}");
}

#[test]
fn limited_flows_say_how_many_there_are() {
    let view = FlowFilter { limit: Some(1), ..FlowFilter::default() }.select(sample::flows());
    assert!(flows::text(&view, PIPE).ends_with("\n1 shown of 4 flows\n"));
    assert_eq!(flows::text(&FlowsView::default(), PIPE), "no flows\n");
}

#[test]
fn mappings_are_a_table() {
    golden(
        &mappings::text(&sample::mappings(), TERMINAL),
        r#"
PROTO  INTERNAL             EXTERNAL          RULE   AGE  IDLE
tcp    10.227.128.11:44312  192.0.2.10:61002  out   1h6m    3s
udp    10.227.128.12:53     192.0.2.10:1021   out     9s    9s
2 mappings
"#,
    );
    assert_eq!(mappings::text(&[], PIPE), "no mappings\n");
}

#[test]
fn drops_say_why_and_by_which_rule() {
    golden(
        &drops::text(&sample::drops(), PIPE),
        r#"
Dropped
REASON            PACKETS  MEANING
source-is-self  1,234,567  The packet came from outside with one of the gateway's own addresses as its source.
rule-drop              12  A firewall rule with action "drop" matched; the rules are listed below.

Given to the kernel for an ICMP error
REASON     PACKETS  MEANING
hop-limit        3  The hop limit (TTL) is used up, and the kernel answers with time exceeded.

Firewall rules that refuse
RULE       ACTION  PACKETS
no-smb     drop          9
no-telnet  reject        3

Firewall rules that accept, by flows' first packets
RULE     ACTION  PACKETS
to-pods  accept       41
"#,
    );
    assert_eq!(drops::text(&DropsView::default(), PIPE), "Nothing was dropped.\n");
}

#[test]
fn explanations_wrap_on_a_terminal() {
    let text = drops::text(&sample::drops(), Style { colour: false, width: Some(70) });
    assert!(text.lines().all(|line| line.chars().count() <= 70), "{text}");
    assert!(text.contains("source-is-self  1,234,567  "), "only the meaning wraps: {text}");
}

#[test]
fn status_is_one_page() {
    golden(
        &status::text(&sample::status(), 1_000_720, TERMINAL),
        r#"
gateway 0.1.0 "default", running for 2h4m
policy   /etc/gateway/policy.toml, generation 3, loaded 12m ago
         4 firewall rules, 2 source NAT rules, 1 port forward, 0 routes
warning  policy.toml:31:1: rule "late" can never match: "to-pods" takes everything
traffic  1,204 flows opened; 1,234,567 packets (1.5GB) forwarded, 15 dropped, 3 punted, 88 passed

INTERFACE  ZONE     STATE     MTU  MAC                ADDRESSES
eth0       overlay  up       1400  02:00:00:00:00:01  10.227.128.1/24 2001:db8:1::1/64
eth1       pods     up       1500  02:00:00:00:00:02  192.0.2.10/24
eth2       onprem   missing     -  -                  -

INTERFACE  DATAPATH  ATTACHED      WHY
eth0       tc        tcx           veth: XDP would cost the sender its TSO
eth1       xdp+tc    native + tcx  the driver has native XDP
eth2       none      -             the interface does not exist; waiting for it

ZONE     INTERFACES
overlay  eth0
pods     eth1
onprem   eth2

TABLE           USED  CAPACITY  FULL
flows-v4           3   262,144    0%
half-open-v4  65,536    65,536  100%
"#,
    );
}

#[test]
fn status_shows_a_refused_reload_beside_the_policy_that_runs() {
    let mut view = sample::status();
    view.policy.warnings.clear();
    view.policy.error = Some("policy.toml:12:3: unknown key\npolicy.toml:20:1: no such zone".into());
    let text = status::text(&view, 1_000_720, PIPE);
    let expected = "
error    the last reload was refused, generation 3 runs on:
         policy.toml:12:3: unknown key
         policy.toml:20:1: no such zone
";
    assert!(text.contains(expected.trim_start()), "{text}");
}

#[test]
fn reload_says_what_runs_now() {
    golden(
        &reload::text(&sample::status().policy),
        r#"
/etc/gateway/policy.toml runs as generation 3: 4 firewall rules, 2 source NAT rules, 1 port forward, 0 routes
warning: policy.toml:31:1: rule "late" can never match: "to-pods" takes everything
"#,
    );
}

#[test]
fn colours_are_for_terminals_only() {
    let coloured = Style { colour: true, width: Some(200) };
    assert!(flows::text(&all(), coloured).contains("\x1b["));
    assert!(status::text(&sample::status(), 1_000_720, coloured).contains("\x1b["));
    for style in [PIPE, TERMINAL] {
        let text = flows::text(&all(), style) + &status::text(&sample::status(), 0, style) + &drops::text(&sample::drops(), style);
        assert!(!text.contains('\x1b'), "{text:?}");
    }
}

#[test]
fn the_command_line_is_sound_and_its_help_has_examples() {
    Cli::command().debug_assert();
    for command in std::iter::once(&Cli::command()).chain(Cli::command().get_subcommands()) {
        let help = command.clone().render_long_help().to_string();
        assert!(help.contains("Examples:"), "{help}");
    }
}

#[test]
fn filters_are_read() {
    let line =
        "gateway flows --protocol tcp --host 10.0.0.1 --port 443 --state established --rule r --zone z --limit 5 --instance lab --json";
    let Command::Flows(args) = Cli::parse_from(line.split(' ')).command else { panic!("not flows") };
    let expected = FlowFilter {
        protocol: Some(Protocol::Tcp),
        host: Some("10.0.0.1/32".parse().unwrap()),
        port: Some(443),
        state: Some(FlowState::Established),
        rule: Some("r".into()),
        zone: Some("z".into()),
        limit: Some(5),
    };
    assert_eq!(args.filter(), expected);
    assert_eq!((args.live.instance.as_str(), args.live.json), ("lab", true));
}

#[test]
fn mistakes_are_explained() {
    for (line, hint) in [
        ("gateway flows --host example", "10.0.0.0/24"),
        ("gateway flows --state open", "established"),
        ("gateway flows --port 65536", "65535"),
        ("gateway status --instance ../etc", "letters, digits"),
        ("gateway flow", "flows"),
    ] {
        let error = Cli::try_parse_from(line.split(' ')).unwrap_err().to_string();
        assert!(error.contains(hint), "{line}: {error}");
    }
}

#[test]
fn run_has_the_documented_defaults() {
    let Command::Run(args) = Cli::parse_from(["gateway", "run"]).command else { panic!("not run") };
    assert_eq!((args.policy.to_str(), args.instance.as_str()), (Some("/etc/gateway/policy.toml"), "default"));
}

/// What a typed command shows, and its error line.
fn typed(line: &str, client: &Client) -> (String, Result<(), String>) {
    let mut out = Vec::new();
    let mut screen = Screen::new(&mut out, PIPE);
    let result: Result<(), CommandError> = match Cli::parse_from(line.split(' ')).command {
        Command::Status(args) => status::show(&args, client, &mut screen),
        Command::Flows(args) => flows::show(&args, client, &mut screen),
        Command::Mappings(args) => mappings::show(&args, client, &mut screen),
        Command::Drops(args) => drops::show(&args, client, &mut screen),
        Command::Reload(args) => reload::show(&args, client, &mut screen),
        Command::Run(_) | Command::Check(_) | Command::Doctor(_) | Command::Render(_) | Command::Provision(_) | Command::Generate(_) => {
            panic!("not a live command")
        }
    };
    (String::from_utf8(out).unwrap(), result.map_err(|error| error.to_string()))
}

#[test]
fn json_is_the_answer_itself() {
    let daemon = Daemon::samples();
    let json = |line: &str| {
        let (shown, result) = typed(line, &daemon.client());
        result.unwrap();
        serde_json::from_str::<serde_json::Value>(&shown).unwrap()
    };
    assert_eq!(json("gateway flows --protocol tcp --limit 1 --json"), serde_json::to_value(&sample::flows()[..1]).unwrap());
    assert_eq!(json("gateway mappings --json"), serde_json::to_value(sample::mappings()).unwrap());
    assert_eq!(json("gateway drops --json"), serde_json::to_value(sample::drops()).unwrap());
    // Its eth2 is missing: all is shown, and the exit code says so.
    let (shown, result) = typed("gateway status --json", &daemon.client());
    assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), serde_json::to_value(sample::status()).unwrap());
    let expected = "the gateway \"default\" forwards nothing through eth2 (the interface does not exist; waiting for it)";
    assert_eq!(result, Err(expected.to_owned()));
}

#[test]
fn a_refused_reload_shows_its_errors_and_fails() {
    let (shown, result) = typed("gateway reload", &Daemon::samples().client());
    assert_eq!((shown.as_str(), result), ("", Err("policy.toml:3:1: unknown key".to_owned())));
}

#[test]
fn a_gateway_that_does_not_forward_yet_is_one_line_and_a_failure() {
    let daemon = Daemon::start(|_| {
        let mut view = sample::status();
        view.ready = false;
        Some(Response::Status(Box::new(view)))
    });
    for line in ["gateway status", "gateway status --json"] {
        let (shown, result) = typed(line, &daemon.client());
        let expected = "the gateway \"default\" is not ready: the datapath is being set up; ask again in a moment";
        assert_eq!((shown.as_str(), result), ("", Err(expected.to_owned())));
    }
}

#[test]
fn without_a_daemon_every_live_command_fails_with_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let client = Client::at(&Default::default(), directory.path().join("control.sock"));
    for command in ["status", "flows", "mappings", "drops", "reload", "flows --json"] {
        let (shown, result) = typed(&format!("gateway {command}"), &client);
        let line = result.unwrap_err();
        assert_eq!((shown.as_str(), line.lines().count()), ("", 1), "{line}");
        assert!(line.starts_with("no gateway is running as instance \"default\""), "{line}");
    }
}

#[test]
fn status_tells_what_of_the_hypervisors_configuration_is_not_in_force() {
    use crate::provision::{PolicyState, Report};
    let mut report = Report { policy: PolicyState::Given, ..Report::default() };
    assert_eq!(status::provision(&report), "");
    report.policy = PolicyState::LastGood;
    report.problems = vec!["NoCloud disk /dev/vdb: the policy has errors\npolicy:3:1: no".into()];
    let text = status::provision(&report);
    assert!(text.starts_with("config   no valid policy was given; the last good one is in force\n"), "{text}");
    assert!(text.contains("\n         policy:3:1: no\n"), "{text}");
}

/// `gateway status` on an appliance with this report.
fn on_an_appliance(line: &str, client: &Client, report: &crate::provision::Report) -> (String, Result<(), String>) {
    let mut out = Vec::new();
    let Command::Status(args) = Cli::parse_from(line.split(' ')).command else { panic!("not status") };
    let result = status::present(&args, client, Some(report.clone()), &mut Screen::new(&mut out, PIPE));
    (String::from_utf8(out).unwrap(), result.map_err(|error| error.to_string()))
}

#[test]
fn what_was_wrong_with_the_configuration_is_shown_whatever_the_daemon_does() {
    let problems = vec!["ConfigMap disk /dev/vdb: policy:3:1: unknown key".to_owned()];
    let report = crate::provision::Report { problems, ..Default::default() };
    let directory = tempfile::tempdir().unwrap();
    let down = Client::at(&Default::default(), directory.path().join("control.sock"));
    let starting =
        Daemon::start(|_| Some(Response::Status(Box::new(crate::control::view::StatusView { ready: false, ..sample::status() }))));
    let up = Daemon::samples();
    for (client, failure) in
        [(&down, "no gateway is running"), (&starting.client(), "is not ready"), (&up.client(), "nothing through eth2")]
    {
        let (shown, result) = on_an_appliance("gateway status", client, &report);
        assert!(shown.contains("config   no valid policy was given; nothing is forwarded\n"), "{shown}");
        assert!(shown.contains("config   ConfigMap disk /dev/vdb: policy:3:1: unknown key\n"), "{shown}");
        assert!(result.unwrap_err().contains(failure));
        let (shown, result) = on_an_appliance("gateway status --json", client, &report);
        let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(json["provision"], serde_json::to_value(&report).unwrap());
        assert!(result.unwrap_err().contains(failure));
    }
}

#[test]
fn a_gateway_that_forwards_everywhere_is_a_success() {
    let daemon = Daemon::start(|_| {
        let mut view = sample::status();
        view.interfaces.retain(|interface| interface.name != "eth2");
        Some(Response::Status(Box::new(view)))
    });
    assert_eq!(typed("gateway status", &daemon.client()).1, Ok(()));
}
