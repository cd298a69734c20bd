//! Where a server listens, read from the URL of a database and written into another.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use diesel_accounts::Engine;

/// Where a server listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// A local socket.
    Socket(PathBuf),
    /// A port.
    Port(SocketAddr),
}

/// A connection to a server. It is read and written through a shared reference, so that two threads
/// can do both at once.
#[derive(Debug)]
pub enum Stream {
    /// Through a local socket.
    Socket(UnixStream),
    /// Through a port.
    Port(TcpStream),
}

impl Address {
    /// The server of a database's URL, as `scripts/with-servers` and [`crate::servers`] write it.
    #[must_use]
    pub fn of(engine: Engine, url: &str) -> Self {
        let (_, rest) = url.split_once('@').expect("the URL names a user");
        let (host, _) = rest.split_once('/').expect("the URL names a database");
        if let Ok(port) = host.parse() {
            return Self::Port(port);
        }
        match engine {
            Engine::Postgres => {
                let folder = PathBuf::from(host.replace("%2F", "/"));
                Self::Socket(folder.join(".s.PGSQL.5432"))
            }
            Engine::Mysql => {
                let (_, path) = url.split_once("unix_socket=").expect("the URL names a socket");
                Self::Socket(PathBuf::from(path))
            }
            _ => panic!("{engine:?} has no server"),
        }
    }

    /// Connects to the server.
    ///
    /// # Errors
    ///
    /// When nobody listens.
    pub fn connect(&self) -> io::Result<Stream> {
        match self {
            Self::Socket(path) => UnixStream::connect(path).map(Stream::Socket),
            Self::Port(port) => TcpStream::connect(port).map(Stream::Port),
        }
    }
}

impl Stream {
    /// Ends one direction, or both.
    ///
    /// # Errors
    ///
    /// When the connection has ended already.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Socket(stream) => stream.shutdown(how),
            Self::Port(stream) => stream.shutdown(how),
        }
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Socket(stream) => (&*stream).read(buffer),
            Stream::Port(stream) => (&*stream).read(buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Socket(stream) => (&*stream).write(buffer),
            Stream::Port(stream) => (&*stream).write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The URL of the same database, reached at another port: that of a proxy.
#[must_use]
pub fn through(engine: Engine, url: &str, port: SocketAddr) -> String {
    let (start, rest) = url.split_once('@').expect("the URL names a user");
    let (_, rest) = rest.split_once('/').expect("the URL names a database");
    let (database, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let mut parameters: Vec<_> = parameters
        .split('&')
        .filter(|parameter| !parameter.is_empty() && !parameter.starts_with("unix_socket="))
        .collect();
    if engine == Engine::Postgres {
        // Neither is offered by the server, and asking for it would be two more messages.
        parameters.extend(["gssencmode=disable", "sslmode=disable", "connect_timeout=10"]);
    }
    match parameters.is_empty() {
        true => format!("{start}@{port}/{database}"),
        false => format!("{start}@{port}/{database}?{}", parameters.join("&")),
    }
}
