//! One connection through the proxy.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use diesel_accounts::Engine;
use socket2::SockRef;

use super::Place;
use super::frontend::{Frontend, Message};
use super::state::{Fate, Passage, State};
use crate::address::Stream;

/// Both ends of a connection.
#[derive(Debug)]
pub(super) struct Link {
    client: TcpStream,
    server: Stream,
    answers: Mutex<Answers>,
    changed: Condvar,
}

/// What the server says.
#[derive(Debug, Default)]
struct Answers {
    /// The client is to hear nothing more.
    are_withheld: bool,
    /// Something was withheld.
    have_come: bool,
    /// The server has ended the connection.
    have_ended: bool,
    /// The client's connection is to be reset: an end in order must not come before that.
    is_reset: bool,
    /// The proxy itself has ended both sides.
    has_been_ended: bool,
}

impl Link {
    pub(super) fn new(client: TcpStream, server: Stream) -> Self {
        Self { client, server, answers: Mutex::default(), changed: Condvar::new() }
    }

    /// Ends both sides in order.
    pub(super) fn end(&self) {
        self.answers().has_been_ended = true;
        let _ = self.server.shutdown(Shutdown::Both);
        let _ = self.client.shutdown(Shutdown::Both);
    }

    /// Ends the server's side, and has the client's reset as soon as nobody owns the socket.
    pub(super) fn reset(&self) {
        let mut answers = self.answers();
        (answers.is_reset, answers.has_been_ended) = (true, true);
        drop(answers);
        SockRef::from(&self.client).set_linger(Some(Duration::ZERO)).unwrap();
        let _ = self.server.shutdown(Shutdown::Both);
        // It only wakes who reads; nothing is sent.
        let _ = self.client.shutdown(Shutdown::Read);
    }

    /// Hands on what both sides send until both have ended.
    pub(super) fn carry(self: &Arc<Self>, engine: Engine, state: &Arc<State>) {
        let (link, shared) = (self.clone(), state.clone());
        let downwards = thread::spawn(move || link.carry_answers(&shared));
        self.carry_messages(engine, state);
        downwards.join().unwrap();
    }

    fn carry_messages(&self, engine: Engine, state: &State) {
        let mut frontend = Frontend::new(engine);
        let mut bytes = Vec::new();
        let mut chunk = vec![0; CHUNK];
        while let Ok(count @ 1..) = (&self.client).read(&mut chunk) {
            bytes.extend_from_slice(&chunk[..count]);
            let mut start = 0;
            while let Some(message) = frontend.next(&bytes[start..]) {
                let end = start + message.length;
                let goes_on = match state.fate_of_next_message() {
                    Fate::HandOn(passage) => {
                        hand_on(&self.server, &bytes[start..end], passage).is_ok()
                    }
                    Fate::Cut(place) => {
                        self.cut(place, message, &bytes[start..end]);
                        false
                    }
                };
                if !goes_on {
                    return;
                }
                start = end;
            }
            bytes.drain(..start);
        }
        state.wait_while_black_hole(|| self.has_been_ended());
        let _ = self.server.shutdown(Shutdown::Write);
    }

    fn carry_answers(&self, state: &State) {
        let mut chunk = vec![0; CHUNK];
        while let Ok(count @ 1..) = (&self.server).read(&mut chunk) {
            if self.withhold() {
                continue;
            }
            if hand_on(&self.client, &chunk[..count], state.passage()).is_err() {
                // The server is to finish what it was asked for all the same.
                self.answers().are_withheld = true;
            }
        }
        state.wait_while_black_hole(|| self.has_been_ended());
        let mut answers = self.answers();
        answers.have_ended = true;
        self.changed.notify_all();
        let is_for_us = !answers.are_withheld && !answers.is_reset;
        drop(answers);
        if is_for_us {
            self.end();
        }
    }

    fn cut(&self, place: Place, message: Message, bytes: &[u8]) {
        match place {
            Place::Before => {}
            Place::BeforeByReset => return self.reset(),
            Place::Middle => {
                let _ = (&self.server).write_all(&bytes[..bytes.len() / 2]);
            }
            Place::After | Place::AfterUnheard | Place::AfterInWords => {
                self.answers().are_withheld = true;
                let _ = (&self.server).write_all(bytes);
                if place == Place::AfterUnheard {
                    let _ = self.client.shutdown(Shutdown::Both);
                }
                let is_done = |answers: &Answers| answers.have_come || answers.have_ended;
                if message.is_answered {
                    self.wait_until(is_done);
                }
                // It reads no end before it has done everything it was sent.
                let _ = self.server.shutdown(Shutdown::Write);
                self.wait_until(|answers| answers.have_ended);
                if place == Place::AfterInWords {
                    let _ = (&self.client).write_all(&server_has_crashed());
                }
            }
        }
        self.end();
    }

    fn has_been_ended(&self) -> bool {
        self.answers().has_been_ended
    }

    /// Whether what was just read is for nobody.
    fn withhold(&self) -> bool {
        let mut answers = self.answers();
        if answers.are_withheld {
            answers.have_come = true;
            self.changed.notify_all();
        }
        answers.are_withheld
    }

    fn wait_until(&self, is_so: impl Fn(&Answers) -> bool) {
        drop(self.changed.wait_while(self.answers(), |answers| !is_so(answers)).unwrap());
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap()
    }
}

fn hand_on(mut to: impl Write, bytes: &[u8], passage: Passage) -> std::io::Result<()> {
    match passage {
        Passage::Open => to.write_all(bytes),
        Passage::Swallowed => Ok(()),
        Passage::Slow(pause) => bytes.chunks(1).try_for_each(|byte| {
            thread::sleep(pause);
            to.write_all(byte)
        }),
    }
}

/// What PgBouncer says of a server that is gone, as an `ErrorResponse`.
fn server_has_crashed() -> Vec<u8> {
    let fields = b"SFATAL\0VFATAL\0C08P01\0Mserver conn crashed?\0\0";
    let length = u32::try_from(4 + fields.len()).unwrap();
    [b"E", &length.to_be_bytes()[..], fields].concat()
}

const CHUNK: usize = 64 * 1024;
