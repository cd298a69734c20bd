//! Where the messages of a client begin and end, as the server reads them.

use diesel_accounts::Engine;

/// One direction of one connection: from the client to the server.
#[derive(Debug)]
pub(super) struct Frontend {
    engine: Engine,
    /// PostgreSQL: its messages have no type until the one that names the user.
    has_begun: bool,
}

/// A message of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Message {
    pub(super) length: usize,
    /// Whether the server says something to it before the client says more.
    pub(super) is_answered: bool,
}

impl Frontend {
    pub(super) fn new(engine: Engine) -> Self {
        Self { engine, has_begun: false }
    }

    /// The message that the bytes begin with, if they have it whole.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Option<Message> {
        match self.engine {
            Engine::Mysql => mysql_packet(bytes),
            Engine::Postgres if self.has_begun => postgres_message(bytes),
            Engine::Postgres => self.postgres_start(bytes),
            engine => panic!("{engine:?} has no protocol"),
        }
    }

    /// A length, which counts itself, and a code: the version of the protocol, or a request that is
    /// made before it.
    fn postgres_start(&mut self, bytes: &[u8]) -> Option<Message> {
        let length = number(bytes.get(..4)?);
        let message = bytes.get(..length)?;
        let code = number(&message[4..8]);
        self.has_begun = !matches!(code, TLS_REQUEST | GSS_REQUEST);
        Some(Message { length, is_answered: code != CANCEL_REQUEST })
    }
}

/// A type, and a length that counts itself but not the type.
fn postgres_message(bytes: &[u8]) -> Option<Message> {
    let length = 1 + number(bytes.get(1..5)?);
    let message = bytes.get(..length)?;
    // Query, Sync, Flush, FunctionCall, and what proves who the client is.
    let is_answered = matches!(message[0], b'Q' | b'S' | b'H' | b'F' | b'p');
    Some(Message { length, is_answered })
}

/// A length of three bytes, the number in the sequence, and so many bytes. The first packet of a
/// sequence begins with the command; what follows an answer while the client signs in has a higher
/// number.
fn mysql_packet(bytes: &[u8]) -> Option<Message> {
    let header = bytes.get(..4)?;
    let payload =
        usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
    let length = 4 + payload;
    let packet = bytes.get(..length)?;
    let command = packet.get(4).copied().filter(|_| header[3] == 0);
    // The next packet goes on where a full one ends.
    let is_whole = payload < 0xFF_FFFF;
    let is_answered = is_whole && !matches!(command, Some(QUIT | SEND_LONG_DATA | CLOSE_STATEMENT));
    Some(Message { length, is_answered })
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

const TLS_REQUEST: usize = 80_877_103;
const GSS_REQUEST: usize = 80_877_104;
const CANCEL_REQUEST: usize = 80_877_102;

const QUIT: u8 = 0x01;
const SEND_LONG_DATA: u8 = 0x18;
const CLOSE_STATEMENT: u8 = 0x19;

#[cfg(test)]
mod tests {
    use super::{Engine, Frontend};

    #[test]
    fn the_first_message_of_postgresql_has_no_type() {
        let mut frontend = Frontend::new(Engine::Postgres);
        let request = [0, 0, 0, 8, 4, 210, 22, 47];
        let start = [0, 0, 0, 9, 0, 3, 0, 0, 0];
        assert_eq!(lengths(&mut frontend, &request), [(8, true)]);
        assert_eq!(lengths(&mut frontend, &start[..8]), []);
        assert_eq!(lengths(&mut frontend, &start), [(9, true)]);
        assert_eq!(lengths(&mut frontend, b"Q\0\0\0\x06a\0"), [(7, true)]);
    }

    #[test]
    fn messages_of_one_write_are_told_apart() {
        let mut frontend = Frontend::new(Engine::Postgres);
        lengths(&mut frontend, &[0, 0, 0, 8, 0, 3, 0, 0]);
        let batch = b"B\0\0\0\x05bE\0\0\0\x06xyS\0\0\0\x04Q\0\0";
        assert_eq!(lengths(&mut frontend, batch), [(6, false), (7, false), (5, true)]);

        let mut frontend = Frontend::new(Engine::Mysql);
        let batch = b"\x05\0\0\0\x19abcd\x02\0\0\0\x03q\x02\0\0\0\x03";
        assert_eq!(lengths(&mut frontend, batch), [(9, false), (6, true)]);
    }

    #[test]
    fn a_packet_of_the_sign_in_is_no_command() {
        let mut frontend = Frontend::new(Engine::Mysql);
        assert_eq!(lengths(&mut frontend, b"\x01\0\0\x03\x01"), [(5, true)]);
        assert_eq!(lengths(&mut frontend, b"\0\0\0\x03"), [(4, true)]);
    }

    fn lengths(frontend: &mut Frontend, mut bytes: &[u8]) -> Vec<(usize, bool)> {
        let mut messages = Vec::new();
        while let Some(message) = frontend.next(bytes) {
            messages.push((message.length, message.is_answered));
            bytes = &bytes[message.length..];
        }
        messages
    }
}
