//! The commands' end of the control socket. Blocking: a command does nothing else meanwhile.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::FlowFilter;
use super::protocol::{Refusal, RefusalKind, Request, Response};
use super::view::{DropsView, FlowsView, MappingView, PolicyView, StatusView};
use crate::instance::InstanceName;

/// How long the daemon may be silent; a reload of a large policy takes a few seconds at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a question has no answer. One line each, except for the errors of a policy.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No daemon.
    #[error("no gateway is running as instance \"{instance}\" ({what} {path}); start it with: gateway run --policy FILE{option}",
        what = if *.stale { "nothing answers at" } else { "no socket at" }, path = .socket.display(), option = instance_option(.instance))]
    NoGateway {
        /// Which was asked for.
        instance: InstanceName,
        /// Where it would listen.
        socket: PathBuf,
        /// A socket is there, left by a daemon that was killed.
        stale: bool,
    },
    /// Not root.
    #[error("only root may ask the gateway (no permission for {}); run the command as root, for example with sudo", .0.display())]
    NotAllowed(PathBuf),
    /// The daemon hangs.
    #[error("the gateway did not answer within {} seconds ({}); look at its log", PATIENCE.as_secs(), .0.display())]
    Silent(PathBuf),
    /// The connection broke.
    #[error("cannot {action} the gateway at {}: {source}; it may just have stopped, look at its log", .socket.display())]
    Connection {
        /// What was tried.
        action: &'static str,
        /// Where.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not our protocol.
    #[error("the gateway's answer cannot be understood ({0}); if it is of another version than this command, restart it")]
    BadAnswer(String),
    /// The daemon cannot yet.
    #[error("the gateway \"{instance}\" is not ready: {message}")]
    NotReady {
        /// Which was asked.
        instance: InstanceName,
        /// What it waits for.
        message: String,
    },
    /// The daemon will not.
    #[error("{0}", .refusal.message)]
    Refused {
        /// Why.
        refusal: Refusal,
    },
}

fn instance_option(instance: &InstanceName) -> String {
    if *instance == InstanceName::default() { String::new() } else { format!(" --instance {instance}") }
}

/// Asks the instance's daemon.
///
/// # Errors
/// See [`ControlError`]; a refusal of the daemon is one of them, so that [`Response::Refused`] is never returned.
pub fn ask(instance: &InstanceName, request: &Request) -> Result<Response, ControlError> {
    Client::new(instance).ask(request)
}

/// Asks one instance's daemon, over one connection per question.
#[derive(Clone, Debug)]
pub struct Client {
    instance: InstanceName,
    socket: PathBuf,
}

impl Client {
    /// The client of an instance.
    #[must_use]
    pub fn new(instance: &InstanceName) -> Self {
        Self::at(instance, instance.control_socket())
    }

    /// The client of an instance that listens elsewhere.
    #[must_use]
    pub fn at(instance: &InstanceName, socket: impl Into<PathBuf>) -> Self {
        Self { instance: instance.clone(), socket: socket.into() }
    }

    /// The instance that it asks.
    #[must_use]
    pub fn instance(&self) -> &InstanceName {
        &self.instance
    }

    /// The socket that it asks at.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks; the typed questions below are more convenient.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn ask(&self, request: &Request) -> Result<Response, ControlError> {
        let stream = UnixStream::connect(&self.socket).map_err(|error| self.cannot_connect(error))?;
        let line = self.exchange(&stream, request)?;
        match serde_json::from_slice(&line) {
            Ok(Response::Refused(Refusal { kind: RefusalKind::NotReady, message })) => {
                Err(ControlError::NotReady { instance: self.instance.clone(), message })
            }
            Ok(Response::Refused(refusal)) => Err(ControlError::Refused { refusal }),
            Ok(response) => Ok(response),
            Err(error) => Err(ControlError::BadAnswer(error.to_string())),
        }
    }

    /// The daemon as a whole. Answered also before the datapath is in place: see [`StatusView::ready`].
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn status(&self) -> Result<StatusView, ControlError> {
        match self.ask(&Request::Status)? {
            Response::Status(view) => Ok(*view),
            other => Err(unexpected(&other)),
        }
    }

    /// Flows that match.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn flows(&self, filter: FlowFilter) -> Result<FlowsView, ControlError> {
        match self.ask(&Request::Flows { filter })? {
            Response::Flows(view) => Ok(view),
            other => Err(unexpected(&other)),
        }
    }

    /// NAT mappings.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn mappings(&self) -> Result<Vec<MappingView>, ControlError> {
        match self.ask(&Request::Mappings)? {
            Response::Mappings(view) => Ok(view),
            other => Err(unexpected(&other)),
        }
    }

    /// Counters by reason and by rule.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn drops(&self) -> Result<DropsView, ControlError> {
        match self.ask(&Request::Drops)? {
            Response::Drops(view) => Ok(view),
            other => Err(unexpected(&other)),
        }
    }

    /// Reads the policy file again; returns once the new policy runs.
    ///
    /// # Errors
    /// See [`ControlError`]; an erroneous policy is [`ControlError::Refused`] with every error's `file:line:column`.
    pub fn reload(&self) -> Result<PolicyView, ControlError> {
        match self.ask(&Request::Reload)? {
            Response::Reloaded(view) => Ok(view),
            other => Err(unexpected(&other)),
        }
    }

    fn exchange(&self, mut stream: &UnixStream, request: &Request) -> Result<Vec<u8>, ControlError> {
        stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .map_err(|e| self.broken("ask", e))?;
        let mut question = serde_json::to_vec(request).map_err(|error| self.broken("ask", error.into()))?;
        question.push(b'\n');
        match stream.write_all(&question) {
            // A server that refuses at once has answered before it was asked.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            result => result.map_err(|error| self.broken("ask", error))?,
        }
        let mut line = Vec::new();
        BufReader::new(stream).read_until(b'\n', &mut line).map_err(|error| self.broken("hear", error))?;
        if line.last() != Some(&b'\n') {
            return Err(self.broken("hear", io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(line)
    }

    fn cannot_connect(&self, error: io::Error) -> ControlError {
        let none = |stale| ControlError::NoGateway { instance: self.instance.clone(), socket: self.socket.clone(), stale };
        match error.kind() {
            io::ErrorKind::NotFound => none(false),
            io::ErrorKind::ConnectionRefused => none(true),
            io::ErrorKind::PermissionDenied => ControlError::NotAllowed(self.socket.clone()),
            _ => self.broken("reach", error),
        }
    }

    fn broken(&self, action: &'static str, source: io::Error) -> ControlError {
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ControlError::Silent(self.socket.clone()),
            _ => ControlError::Connection { action, socket: self.socket.clone(), source },
        }
    }
}

fn unexpected(response: &Response) -> ControlError {
    let kind = match response {
        Response::Status(_) => "status",
        Response::Flows(_) => "flows",
        Response::Mappings(_) => "mappings",
        Response::Drops(_) => "drops",
        Response::Reloaded(_) => "reloaded",
        Response::Refused(_) => "refused",
    };
    ControlError::BadAnswer(format!("\"{kind}\" is no answer to this question"))
}
