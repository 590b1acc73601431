//! Traffic between namespaces, by sockets that live in them and by ping.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Output;
use std::time::Duration;

use gateway_tests::Namespace;
use gateway_tests::wait::wait_for;

/// As long as an answer may take on a machine that compiles beside.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Runs ping with these words.
pub fn ping(from: &Namespace, words: &[&str]) -> Output {
    from.output("ping", words).unwrap()
}

/// True when one echo request, sent once, is answered.
pub fn answers(from: &Namespace, to: &str) -> bool {
    ping(from, &["-c1", "-W5", to]).status.success()
}

/// True when none of three echo requests within half a second is answered within one more.
pub fn is_silent(from: &Namespace, to: &str) -> bool {
    !ping(from, &["-c3", "-i0.2", "-W1", to]).status.success()
}

/// What a ping printed, for the message of an assertion.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Parses an endpoint.
pub fn endpoint(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A TCP listener in the namespace.
pub fn listen(at: &Namespace, address: &str) -> TcpListener {
    let listener = at.within(|| TcpListener::bind(endpoint(address))).unwrap().unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

/// The next connection, and whom it comes from.
pub fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let (stream, peer) = wait_for(PATIENCE, "a connection", || match listener.accept() {
        Ok(accepted) => Ok(Some(accepted)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    })
    .unwrap();
    stream.set_nonblocking(false).unwrap();
    bound(&stream);
    (stream, peer)
}

/// Connects, within `patience`.
pub fn try_connect(from: &Namespace, to: &str, patience: Duration) -> std::io::Result<TcpStream> {
    let stream = from.within(|| TcpStream::connect_timeout(&endpoint(to), patience)).unwrap()?;
    bound(&stream);
    Ok(stream)
}

/// Connects.
pub fn connect(from: &Namespace, to: &str) -> TcpStream {
    try_connect(from, to, PATIENCE).unwrap_or_else(|error| panic!("{} to {to}: {error}", from.name()))
}

fn bound(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
}

/// Sends a line each way.
pub fn talk(client: &mut TcpStream, server: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 5];
    client.write_all(b"hello")?;
    server.read_exact(&mut buffer)?;
    assert_eq!(&buffer, b"hello");
    server.write_all(b"world")?;
    client.read_exact(&mut buffer)?;
    assert_eq!(&buffer, b"world");
    Ok(())
}

/// A UDP socket in the namespace.
pub fn udp(at: &Namespace, address: &str) -> UdpSocket {
    let socket = at.within(|| UdpSocket::bind(endpoint(address))).unwrap().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends one datagram.
pub fn send(from: &UdpSocket, to: &str, text: &str) {
    assert_eq!(from.send_to(text.as_bytes(), endpoint(to)).unwrap(), text.len());
}

/// The next datagram, and whom it comes from.
pub fn receive(at: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 2048];
    let (length, from) = at.recv_from(&mut buffer).unwrap_or_else(|error| panic!("no datagram came: {error}"));
    (String::from_utf8_lossy(&buffer[..length]).into_owned(), from)
}

/// Sends one datagram to a server behind the gateway, which must come from there; and gives whom the server sees.
pub fn ask(client: &UdpSocket, server: &UdpSocket, to: &str) -> SocketAddr {
    send(client, to, "question");
    let (text, seen) = receive(server);
    assert_eq!(text, "question");
    send(server, &seen.to_string(), "answer");
    assert_eq!(receive(client), ("answer".to_owned(), endpoint(to)));
    seen
}

/// True when nothing is waiting to be received, of which the caller knows that it would have come by now.
pub fn is_empty(at: &UdpSocket) -> bool {
    at.set_nonblocking(true).unwrap();
    let nothing = at.recv_from(&mut [0; 16]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    at.set_nonblocking(false).unwrap();
    nothing
}
