//! Who asks, and from where.

use std::net::{IpAddr, SocketAddr};
use std::str;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use diesel_accounts::Context;
use ipnet::{IpNet, Ipv6Net};

use super::answer::{A_MOMENT, Trouble};
use super::app::{App, Database};

/// The client of one request.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// The address, or of IPv6 the network that one household has.
    pub(crate) key: String,
    pub(crate) request_id: String,
}

impl<C: Database> FromRequestParts<Arc<App<C>>> for Client {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App<C>>) -> Result<Self, Trouble> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let ConnectInfo(peer) = peer.ok_or(Trouble::Unavailable(A_MOMENT))?;
        Ok(Self::of(*peer, &parts.headers, &app.config.trusted_proxies))
    }
}

impl Client {
    fn of(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let address = client_address(peer.ip(), headers, trusted);
        let request_id = headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok());
        Self { key: client_key(address), request_id: request_id.unwrap_or_default().to_owned() }
    }

    /// What the library is told of the request.
    pub(crate) fn context(&self) -> Context {
        Context::new().client(self.key.as_str()).request_id(self.request_id.as_str())
    }
}

/// The name of a request in our log and in the answer.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id that a proxy of ours gave a request, if it can stand in a log; else `None`.
pub(crate) fn given_request_id(request: &Request, trusted: &[IpNet]) -> Option<HeaderValue> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    let is_ours = trusted.iter().any(|net| net.contains(&peer.ip().to_canonical()));
    let given = request.headers().get(&REQUEST_ID).filter(|_| is_ours)?;
    is_plain(given.to_str().ok()?).then(|| given.clone())
}

fn is_plain(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(is_plain)
}

/// The address that our outermost own proxy saw. What is further to the left in `X-Forwarded-For`
/// anybody may have written.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut address = peer.to_canonical();
    let forwarded = headers.get_all(HeaderName::from_static("x-forwarded-for"));
    // A proxy may append to whatever bytes the client sent: a line is read hop by hop.
    let lines: Vec<_> = forwarded.iter().map(HeaderValue::as_bytes).collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b',')) {
        if !is_trusted(&address) {
            break;
        }
        match read_address(hop) {
            Some(before) => address = before.to_canonical(),
            None => break,
        }
    }
    address
}

fn read_address(hop: &[u8]) -> Option<IpAddr> {
    str::from_utf8(hop).ok()?.trim().parse().ok()
}

fn client_key(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        // Whoever has one address of IPv6 has a network of them.
        IpAddr::V6(address) => match Ipv6Net::new(address, 64) {
            Ok(net) => net.trunc().to_string(),
            Err(_) => address.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{Client, is_plain};

    fn key_of(peer: &str, forwarded: &[&str]) -> String {
        let lines: Vec<_> = forwarded.iter().map(|line| line.as_bytes()).collect();
        key_of_bytes(peer, &lines)
    }

    fn key_of_bytes(peer: &str, forwarded: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(line).unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        Client::of(format!("{peer}:1").parse().unwrap(), &headers, &trusted).key
    }

    #[test]
    fn only_what_our_own_proxies_wrote_is_believed() {
        assert_eq!(key_of("203.0.113.7", &["198.51.100.1"]), "203.0.113.7");
        assert_eq!(key_of("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(key_of("10.0.0.1", &["1.1.1.1, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(key_of("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(key_of("10.0.0.1", &["1.1.1.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(key_of("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(key_of("10.0.0.1", &["198.51.100.1, unknown"]), "10.0.0.1");
        assert_eq!(key_of("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(key_of("[fd00::1]", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(key_of("[::ffff:10.0.0.1]", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn what_is_no_text_hides_nothing_that_our_proxies_wrote_behind_it() {
        assert_eq!(key_of_bytes("10.0.0.1", &[b"\xff, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(key_of_bytes("10.0.0.1", &[b"1.1.1.1", b"\xff, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(key_of_bytes("10.0.0.1", &[b"1.1.1.1", b"\xff"]), "10.0.0.1");
        assert_eq!(key_of_bytes("10.0.0.1", &[b"1.1.1.1, \xff"]), "10.0.0.1");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        assert_eq!(key_of("[2001:db8::1]", &[]), "2001:db8::/64");
        assert_eq!(key_of("[2001:db8::2:1]", &[]), "2001:db8::/64");
        assert_eq!(key_of("[2001:db8:0:1::1]", &[]), "2001:db8:0:1::/64");
    }

    #[test]
    fn a_request_id_that_could_forge_a_log_is_not_taken_over() {
        assert!(is_plain("4711") && is_plain("a-b_c.D"));
        assert!(!is_plain("") && !is_plain("a b") && !is_plain("\"") && !is_plain(&"a".repeat(65)));
    }
}
