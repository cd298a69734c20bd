//! A proxy in front of a server, which fails a client's connections at exactly the message that a
//! test names.
//!
//! It reads what clients send as the server would, and counts their messages: those of all
//! connections together, from the last [`Proxy::set_fault`] on. What the server says is handed on as
//! it comes.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use diesel_accounts::Engine;

use self::link::Link;
use self::state::State;
use crate::address::{Address, through};

mod frontend;
mod link;
mod state;

/// What the proxy does to its connections.
#[derive(Clone, Debug, Default)]
pub enum Fault {
    /// Nothing: it hands everything on.
    #[default]
    None,
    /// It ends a connection at one message, and hands on everything else.
    Cut {
        /// Which message, counted from 1.
        at: u64,
        /// Where.
        place: Place,
    },
    /// The same, and every new connection is ended at once until another fault is set.
    CutForGood {
        /// Which message, counted from 1.
        at: u64,
        /// Where.
        place: Place,
    },
    /// It does something else, from one message on. (Not [`Fault::Refuse`]: that needs no message.)
    From {
        /// Which message, counted from 1.
        at: u64,
        /// What it does to this one and those that follow.
        fault: Box<Fault>,
    },
    /// It ends connections at messages by chance.
    Random {
        /// The same messages in the same order meet the same fate for the same seed.
        seed: u64,
        /// How many of a thousand messages.
        per_mille: u32,
        /// Where: each place is as likely as it is often in the list.
        places: Vec<Place>,
    },
    /// It resets every connection that sends a message: [`Place::BeforeByReset`].
    Reset,
    /// It swallows what either side sends, and tells neither that the other is gone, until another
    /// fault is set: then it ends the connections that are there. It goes on to accept new ones.
    BlackHole,
    /// It hands on one byte at a time.
    Slow {
        /// How long it waits before each.
        pause: Duration,
    },
    /// Nobody listens on the port, and the connections that are there have been ended.
    Refuse,
    /// It accepts connections and ends them at once. Those that are there are left alone.
    HangUp,
}

/// Where a connection ends.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Place {
    /// Before the message: the server never gets it.
    Before,
    /// The same, and the client's connection is not ended in order, but reset.
    BeforeByReset,
    /// In the middle of the message: the server gets half of its bytes, and then the end.
    Middle,
    /// After the message: the server gets it and does what it asks for, and the client never hears
    /// of it. The client's side ends when the server has answered everything it was sent.
    ///
    /// What PostgreSQL's `Execute` does is not committed before the `Sync` that follows, which is a
    /// message of its own.
    After,
    /// The same, but the client's side ends at once: what the server does is done later, and may
    /// meet what the client does next.
    AfterUnheard,
    /// After the message, as a pooler ends a session whose server has gone: the server does what it
    /// is asked for, and the client hears an error of PostgreSQL's protocol in place of the answer.
    AfterInWords,
}

impl Place {
    /// All that end a connection in order.
    pub const IN_ORDER: [Self; 3] = [Self::Before, Self::Middle, Self::After];
}

/// What clients sent under one fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Counted {
    /// How many messages.
    pub messages: u64,
    /// At how many of them a connection was ended, or they were swallowed.
    pub strikes: u64,
}

/// A proxy on a port of the loopback device. Dropping it ends all its connections.
#[derive(Debug)]
pub struct Proxy {
    engine: Engine,
    port: SocketAddr,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Begins to listen, and hands everything on to a server.
    #[must_use]
    pub fn start(engine: Engine, server: Address) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap();
        let state = Arc::new(State::new());
        let acceptor = Acceptor { engine, server, port, state: state.clone() };
        let acceptor = Some(thread::spawn(move || acceptor.run(listener)));
        Self { engine, port, state, acceptor }
    }

    /// The same for the server of a database's URL.
    #[must_use]
    pub fn in_front_of(engine: Engine, url: &str) -> Self {
        Self::start(engine, Address::of(engine, url))
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> SocketAddr {
        self.port
    }

    /// The URL of a database on the server, reached through the proxy.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        through(self.engine, url, self.port)
    }

    /// Does something else from the next message on, and begins to count anew. Tells what had been
    /// counted until then.
    ///
    /// MariaDB's clients close a prepared statement without waiting for an answer, so that the
    /// message may be on its way still and be counted after this. Plain SQL, as in
    /// `batch_execute("SELECT 1")`, leaves nothing on its way.
    pub fn set_fault(&self, fault: Fault) -> Counted {
        let refuses = matches!(fault, Fault::Refuse);
        let counted = self.state.set_fault(fault);
        if refuses {
            self.cut_all();
            self.wake_acceptor();
        }
        self.state.wait_until_listening(!refuses);
        counted
    }

    /// How many messages clients have sent since the fault was set.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.state.messages()
    }

    /// At how many messages a connection was ended, or swallowed them, since the fault was set.
    #[must_use]
    pub fn strikes(&self) -> u64 {
        self.state.strikes()
    }

    /// Ends all connections that are there now.
    pub fn cut_all(&self) {
        self.state.for_each_link(Link::end);
    }

    /// Resets all connections that are there now.
    pub fn reset_all(&self) {
        self.state.for_each_link(Link::reset);
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.links().len()
    }

    /// Waits until something is so that the proxy counts: of messages, strikes or connections.
    ///
    /// # Panics
    ///
    /// When it is not so after a minute.
    pub fn wait_until(&self, mut is_so: impl FnMut(&Self) -> bool) {
        self.state.wait_for_change(|| is_so(self));
    }

    fn wake_acceptor(&self) {
        let _ = TcpStream::connect(self.port);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.finish();
        self.cut_all();
        self.wake_acceptor();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        // The acceptor may have admitted one more.
        self.cut_all();
    }
}

/// The thread that listens.
struct Acceptor {
    engine: Engine,
    server: Address,
    port: SocketAddr,
    state: Arc<State>,
}

impl Acceptor {
    fn run(self, listener: TcpListener) {
        let mut listener = Some(listener);
        loop {
            if self.state.refuses() {
                drop(listener.take());
                self.state.set_listening(false);
                self.state.wait_while_refusing();
            }
            if self.state.is_finished() {
                return;
            }
            let listener = listener.get_or_insert_with(|| self.listen_again());
            self.state.set_listening(true);
            if let Ok((client, _)) = listener.accept() {
                // A client whose server is not there loses its connection at once.
                let _ = self.admit(client);
            }
        }
    }

    /// The port may have served another program's outgoing connection meanwhile.
    fn listen_again(&self) -> TcpListener {
        loop {
            match TcpListener::bind(self.port) {
                Ok(listener) => return listener,
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn admit(&self, client: TcpStream) -> io::Result<()> {
        if !self.state.admits() {
            return Ok(());
        }
        client.set_nodelay(true)?;
        let server = self.server.connect()?;
        let link = Arc::new(Link::new(client, server));
        let number = self.state.add(&link);
        let (engine, state) = (self.engine, self.state.clone());
        thread::spawn(move || {
            link.carry(engine, &state);
            // The last owner closes the sockets, which is when a reset is sent.
            state.remove(number);
            drop(link);
        });
        Ok(())
    }
}
