//! The daemon's end of the control socket.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::protocol::{MAX_REQUEST, Refusal, RefusalKind, Request, Response, parse_request};
use crate::instance::create_private;

/// Connections at once; one more is told [`RefusalKind::Busy`].
const MAX_CONNECTIONS: usize = 16;
/// Answers that may exist at once: one of 100,000 flows is some 40 MB as JSON.
const MAX_ANSWERS: usize = 2;
/// How long a client may take for a whole request, and for each [`CHUNK`] of an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer that are written at a time.
const CHUNK: usize = 64 * 1024;
/// Before accepting again when the kernel could not (out of file descriptors): there is no event to await.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A request on its way to the daemon's loop, with the place for its answer.
///
/// Dropping `reply` tells the client that the daemon could not answer.
#[derive(Debug)]
pub struct ControlRequest {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes; sending fails when the client is gone, which is no error of the daemon.
    pub reply: oneshot::Sender<Response>,
}

/// Why the control socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Somebody answers there.
    #[error("another gateway answers on {0}; stop it, or choose another --instance")]
    Taken(PathBuf),
    /// Something else has the name.
    #[error("{0} exists and is not a socket; remove it if nothing needs it")]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot {action} {path}: {source}; the gateway must run as root, with /run writable")]
    System {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The listening control socket. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct ControlServer {
    listener: UnixListener,
    file: SocketFile,
}

#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nothing to do about a file that somebody else removed.
        let _ = fs::remove_file(&self.0);
    }
}

impl ControlServer {
    /// Opens the socket with mode 0600, in a directory with mode 0700 that is made if missing. A socket that a killed daemon left is replaced.
    ///
    /// The caller holds the instance's lock, and is within a tokio runtime with I/O.
    ///
    /// # Errors
    /// When another process listens there, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, ServerError> {
        let failed = |action| move |source: io::Error| ServerError::System { action, path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            let failed = |source| ServerError::System { action: "use the directory", path: directory.to_owned(), source };
            create_private(directory).map_err(failed)?;
        }
        remove_stale(path)?;

        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|error| failed("create a socket for")(error.into()))?;
        let address = SocketAddrUnix::new(path).map_err(|error| failed("bind to")(error.into()))?;
        rustix::net::bind(&socket, &address).map_err(|error| failed("bind to")(error.into()))?;
        let file = SocketFile(path.to_owned());
        // Before listen: until then nobody can connect, whatever the umask gave.
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed("set the mode of"))?;
        let backlog = i32::try_from(MAX_CONNECTIONS).unwrap_or(i32::MAX);
        rustix::net::listen(&socket, backlog).map_err(|error| failed("listen on")(error.into()))?;
        let listener = UnixListener::from_std(StdListener::from(socket)).map_err(failed("wait on"))?;
        Ok(Self { listener, file })
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.0
    }

    /// Serves until the receiver of `requests` is dropped; connections then end at once. May be dropped at any await.
    pub async fn serve(self, requests: mpsc::Sender<ControlRequest>) {
        let answers = Arc::new(Semaphore::new(MAX_ANSWERS));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                // In this order: who has gone must not count when the next one comes.
                biased;
                () = requests.closed() => return,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        if let Err(refusal) = admit(&stream, connections.len()) {
                            refuse_at_once(&stream, refusal);
                            continue;
                        }
                        connections.spawn(Connection { requests: requests.clone(), answers: Arc::clone(&answers) }.serve(stream));
                    }
                    Err(error) => {
                        tracing::warn!("control socket {}: cannot accept a connection: {error}", self.path().display());
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }
}

/// Removes a socket that nobody answers on.
fn remove_stale(path: &Path) -> Result<(), ServerError> {
    use std::os::unix::fs::FileTypeExt;
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(ServerError::System { action: "look at", path: path.to_owned(), source }),
        Ok(found) if !found.file_type().is_socket() => return Err(ServerError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    if StdStream::connect(path).is_ok() {
        return Err(ServerError::Taken(path.to_owned()));
    }
    fs::remove_file(path).map_err(|source| ServerError::System { action: "remove the stale", path: path.to_owned(), source })
}

/// Whether this connection may ask at all.
fn admit(stream: &UnixStream, connections: usize) -> Result<(), Refusal> {
    let not_allowed = |message: String| Refusal::new(RefusalKind::NotAllowed, message);
    let peer = stream.peer_cred().map_err(|error| not_allowed(format!("cannot tell which user asks: {error}")))?;
    // The daemon's own user can do everything to it anyway, root or not.
    if peer.uid() != 0 && peer.uid() != rustix::process::geteuid().as_raw() {
        tracing::warn!("control socket: refused user {} (process {:?})", peer.uid(), peer.pid());
        return Err(not_allowed(format!("user {} may not ask the gateway; only root may", peer.uid())));
    }
    if connections >= MAX_CONNECTIONS {
        return Err(Refusal::new(RefusalKind::Busy, format!("{MAX_CONNECTIONS} commands are talking to the gateway already; try again")));
    }
    Ok(())
}

/// Says no without waiting: one line always fits an empty socket buffer.
fn refuse_at_once(stream: &UnixStream, refusal: Refusal) {
    if let Ok(line) = to_line(&Response::Refused(refusal)) {
        // A client that is gone already needs no answer.
        let _ = stream.try_write(&line);
    }
}

fn to_line(response: &Response) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    Ok(line)
}

/// What one read from a client gave.
enum Incoming {
    Line(Vec<u8>),
    TooLong,
    End,
}

struct Connection {
    requests: mpsc::Sender<ControlRequest>,
    answers: Arc<Semaphore>,
}

impl Connection {
    async fn serve(self, mut stream: UnixStream) {
        if let Err(error) = self.converse(&mut stream).await {
            tracing::debug!("control connection ended: {error}");
        }
    }

    async fn converse(&self, stream: &mut UnixStream) -> io::Result<()> {
        let (reading, mut writing) = stream.split();
        let mut reader = BufReader::new(reading);
        loop {
            let parsed = match timeout(PATIENCE, read_line(&mut reader)).await.map_err(|_| io::ErrorKind::TimedOut)?? {
                Incoming::End => return Ok(()),
                Incoming::Line(line) => parse_request(&line),
                Incoming::TooLong => {
                    let refusal = Refusal::new(RefusalKind::BadRequest, format!("the request is longer than {MAX_REQUEST} bytes"));
                    // Where the next request begins is not known any more, so the connection ends here.
                    return write_answer(&mut writing, Response::Refused(refusal)).await;
                }
            };
            // Held until the answer is written.
            let _turn = self.answers.acquire().await.map_err(io::Error::other)?;
            let response = match parsed {
                Ok(request) => self.ask(request).await,
                Err(refusal) => Response::Refused(refusal),
            };
            write_answer(&mut writing, response).await?;
        }
    }

    async fn ask(&self, request: Request) -> Response {
        let (reply, answer) = oneshot::channel();
        let stopping = || Response::Refused(Refusal::new(RefusalKind::Failed, "the gateway is stopping"));
        if self.requests.send(ControlRequest { request, reply }).await.is_err() {
            return stopping();
        }
        answer.await.unwrap_or_else(|_| stopping())
    }
}

/// Reads up to a newline or [`MAX_REQUEST`] bytes, whichever is first.
async fn read_line(reader: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Incoming> {
    let mut line = Vec::new();
    let most = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX) + 1;
    reader.take(most).read_until(b'\n', &mut line).await?;
    match line.pop() {
        None => Ok(Incoming::End),
        Some(b'\n') => Ok(Incoming::Line(line)),
        Some(_) if line.len() >= MAX_REQUEST => Ok(Incoming::TooLong),
        // The client closed in the middle of a line; it is refused as what it is.
        Some(last) => {
            line.push(last);
            Ok(Incoming::Line(line))
        }
    }
}

/// Writes an answer no faster than the client reads it, and gives up when it stops reading.
async fn write_answer(writing: &mut (impl AsyncWriteExt + Unpin), response: Response) -> io::Result<()> {
    // Off the daemon's only thread: a full flow table takes long to write out, and long to free.
    let line = tokio::task::spawn_blocking(move || to_line(&response)).await??;
    for chunk in line.chunks(CHUNK) {
        timeout(PATIENCE, writing.write_all(chunk)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    }
    Ok(())
}
