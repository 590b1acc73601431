//! Over a real socket: who may connect, what is refused, and that nothing a client does stops the server.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::daemon::Daemon;
use super::sample;
use crate::control::protocol::MAX_REQUEST;
use crate::control::view::{FlowView, FlowsView};
use crate::control::{Client, ControlError, ControlServer, Refusal, RefusalKind, Request, Response, ServerError};
use crate::instance::InstanceName;

/// A client that can send anything.
struct Raw(BufReader<UnixStream>);

impl Raw {
    fn to(daemon: &Daemon) -> Self {
        Self::new(UnixStream::connect(&daemon.socket).unwrap())
    }

    fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    fn hear(&mut self) -> Response {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    fn hear_refusal(&mut self) -> RefusalKind {
        match self.hear() {
            Response::Refused(refusal) => refusal.kind,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn ended(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0))
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn every_question_gets_its_answer() {
    let daemon = Daemon::samples();
    let client = daemon.client();
    assert_eq!(client.status().unwrap(), sample::status());
    assert_eq!(client.mappings().unwrap(), sample::mappings());
    assert_eq!(client.drops().unwrap(), sample::drops());
    let filter = crate::control::FlowFilter { limit: Some(1), ..Default::default() };
    assert_eq!(client.flows(filter).unwrap(), FlowsView { flows: sample::flows()[..1].to_vec(), matched: 4 });
    assert_eq!(client.reload().unwrap_err().to_string(), "policy.toml:3:1: unknown key");
}

#[test]
fn the_socket_is_for_its_owner_only_and_goes_away() {
    let daemon = Daemon::samples();
    let socket = daemon.socket.clone();
    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
    let client = daemon.client();
    drop(daemon);
    assert!(!socket.exists());
    assert!(matches!(client.status(), Err(ControlError::NoGateway { stale: false, .. })));
}

#[test]
fn garbage_is_refused_and_the_server_lives_on() {
    let daemon = Daemon::samples();
    let mut raw = Raw::to(&daemon);
    for garbage in [&b"\n"[..], b"GET / HTTP/1.1\r\n", b"\xff\xfe\x00\n", b"{\"flows\":{\"filter\":{\"port\":-1}}}\n"] {
        raw.send(garbage).unwrap();
        assert_eq!(raw.hear_refusal(), RefusalKind::BadRequest, "{garbage:?}");
    }
    raw.send(b"\"drops\"\n").unwrap();
    assert_eq!(raw.hear(), Response::Drops(sample::drops()), "the same connection still works");

    let mut cut = Raw::to(&daemon);
    cut.send(b"\"stat").unwrap();
    cut.0.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(cut.hear_refusal(), RefusalKind::BadRequest);
    assert!(daemon.client().status().is_ok());
}

#[test]
fn an_oversized_request_is_refused_and_its_connection_closed() {
    let daemon = Daemon::samples();
    let mut raw = Raw::to(&daemon);
    // The server stops reading at its limit, so the rest may not fit.
    let _ = raw.send(&vec![b' '; MAX_REQUEST + 1]);
    assert_eq!(raw.hear_refusal(), RefusalKind::BadRequest);
    assert!(raw.ended());

    let mut largest = Raw::to(&daemon);
    let mut line = vec![b' '; MAX_REQUEST - "\"status\"".len()];
    line.extend_from_slice(b"\"status\"\n");
    largest.send(&line).unwrap();
    assert_eq!(largest.hear(), Response::Status(Box::new(sample::status())), "the limit itself is allowed");
}

#[test]
fn the_seventeenth_connection_is_told_to_come_back() {
    let daemon = Daemon::samples();
    let mut open: Vec<Raw> = (0..16).map(|_| Raw::to(&daemon)).collect();
    let refusal = daemon.client().status().unwrap_err();
    assert!(refusal.to_string().contains("try again"), "{refusal}");
    // Those that came first are served, and once one has gone there is room.
    let mut first = open.remove(0);
    first.send(b"\"status\"\n").unwrap();
    first.hear();
    first.0.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(first.ended());
    assert!(daemon.client().status().is_ok());
}

#[test]
fn a_silent_client_is_let_go() {
    let daemon = Daemon::samples();
    let mut raw = Raw::to(&daemon);
    raw.send(b"\"sta").unwrap();
    assert!(raw.ended(), "the server closes after its patience");
}

#[test]
fn a_client_that_does_not_read_does_not_stop_the_others() {
    let many: Vec<FlowView> = (0..25_000).map(|n| sample::flows()[n % 4].clone()).collect();
    let count = many.len();
    let daemon = Daemon::start(move |request| {
        Some(match request {
            Request::Flows { filter } => Response::Flows(filter.select(many.clone())),
            _ => Response::Status(Box::new(sample::status())),
        })
    });
    let mut stuck = Raw::to(&daemon);
    stuck.send(b"{\"flows\":{}}\n").unwrap();
    let view = daemon.client().flows(Default::default()).unwrap();
    assert_eq!((view.flows.len(), view.matched), (count, count as u64), "a large answer arrives whole");
    assert!(daemon.client().status().is_ok());
}

#[test]
fn a_daemon_that_drops_the_question_is_reported() {
    let daemon = Daemon::start(|_| None);
    let error = daemon.client().status().unwrap_err();
    assert_eq!(error.to_string(), "the gateway is stopping");
}

#[test]
fn a_daemon_that_is_not_ready_says_so_in_one_line() {
    let daemon = Daemon::start(|_| Some(Response::Refused(Refusal::new(RefusalKind::NotReady, "waiting for interface eth0"))));
    let error = daemon.client().flows(Default::default()).unwrap_err();
    assert_eq!(error.to_string(), "the gateway \"default\" is not ready: waiting for interface eth0");
}

#[test]
fn without_a_daemon_one_line_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let default = Client::at(&InstanceName::default(), &socket).status().unwrap_err();
    let expected = format!(
        "no gateway is running as instance \"default\" (no socket at {}); start it with: gateway run --policy FILE",
        socket.display()
    );
    assert_eq!(default.to_string(), expected);

    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let lab = Client::at(&"lab".parse().unwrap(), &socket).status().unwrap_err();
    let expected = format!(
        "no gateway is running as instance \"lab\" (nothing answers at {}); start it with: gateway run --policy FILE --instance lab",
        socket.display()
    );
    assert_eq!(lab.to_string(), expected, "a socket that a killed daemon left");
}

#[test]
fn a_stale_socket_is_replaced_but_a_live_one_and_a_file_are_not() {
    let daemon = Daemon::samples();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    assert!(matches!(ControlServer::bind(&daemon.socket), Err(ServerError::Taken(_))));
    assert!(daemon.client().status().is_ok(), "the live socket was left alone");

    let directory = tempfile::tempdir().unwrap();
    let stale = directory.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    assert_eq!(ControlServer::bind(&stale).unwrap().path(), stale);

    let file = directory.path().join("file");
    std::fs::write(&file, "keep").unwrap();
    assert!(matches!(ControlServer::bind(&file), Err(ServerError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "keep");
}

#[test]
fn another_user_is_refused_even_where_the_file_modes_would_let_him_in() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can try as another user");
        return;
    }
    let daemon = Daemon::samples();
    for (path, mode) in [(daemon.socket.as_path(), 0o666), (daemon.socket.parent().unwrap(), 0o755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    std::fs::set_permissions(daemon.socket.parent().unwrap().parent().unwrap(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let socket = daemon.socket.clone();
    let nobody = std::thread::spawn(move || {
        let user = rustix::process::Uid::from_raw(65534);
        // Of this thread only: glibc's wrapper would change the whole process.
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
        Raw::new(UnixStream::connect(&socket).unwrap()).hear_refusal()
    });
    assert_eq!(nobody.join().unwrap(), RefusalKind::NotAllowed);
    assert!(daemon.client().status().is_ok());
}
