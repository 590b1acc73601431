//! The messages: one JSON value per line, a request up, an answer down.

use serde::{Deserialize, Serialize};

use super::FlowFilter;
use super::view::{DropsView, FlowsView, MappingView, PolicyView, StatusView};

/// The longest request in bytes, without its newline. A longer one is refused and its connection closed.
pub const MAX_REQUEST: usize = 64 * 1024;

/// What a command asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The daemon as a whole: [`Response::Status`]. The only request that is answered before the datapath is in place.
    Status,
    /// Flows: [`Response::Flows`].
    Flows {
        /// Which ones.
        #[serde(default)]
        filter: FlowFilter,
    },
    /// NAT mappings: [`Response::Mappings`].
    Mappings,
    /// Counters by reason and rule: [`Response::Drops`].
    Drops,
    /// Read the policy file again and put it into effect: [`Response::Reloaded`].
    Reload,
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// To [`Request::Status`].
    Status(Box<StatusView>),
    /// To [`Request::Flows`].
    Flows(FlowsView),
    /// To [`Request::Mappings`].
    Mappings(Vec<MappingView>),
    /// To [`Request::Drops`].
    Drops(DropsView),
    /// To [`Request::Reload`], once the policy runs.
    Reloaded(PolicyView),
    /// Not done.
    Refused(Refusal),
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub kind: RefusalKind,
    /// For people: one line, except for policy errors, which have one per error with `file:line:column`.
    pub message: String,
}

impl Refusal {
    /// A refusal with its text.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// The kinds of [`Refusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The line is not a [`Request`], or too long.
    BadRequest,
    /// The asking user may not.
    NotAllowed,
    /// Too many connections at once.
    Busy,
    /// The datapath is not in place yet.
    NotReady,
    /// The policy file has errors; the old policy runs on.
    Policy,
    /// The daemon could not do it.
    Failed,
}

/// Reads one line, without its newline, as a request.
///
/// # Errors
/// [`RefusalKind::BadRequest`] with what is wrong, for any bytes that are not a request.
pub fn parse_request(line: &[u8]) -> Result<Request, Refusal> {
    if line.len() > MAX_REQUEST {
        return Err(Refusal::new(RefusalKind::BadRequest, format!("the request is longer than {MAX_REQUEST} bytes")));
    }
    serde_json::from_slice(line).map_err(|error| {
        // The parser quotes the request, which may be long and hold anything.
        let quoted: String = error.to_string().chars().take(200).flat_map(char::escape_debug).collect();
        Refusal::new(RefusalKind::BadRequest, format!("the request cannot be understood: {quoted}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::sample;

    #[test]
    fn requests_survive_the_wire_on_one_line() {
        let filter =
            FlowFilter { rule: Some("a\nb\"c".into()), limit: Some(3), host: Some("10.0.0.0/8".parse().unwrap()), ..FlowFilter::default() };
        for request in [Request::Status, Request::Flows { filter }, Request::Mappings, Request::Drops, Request::Reload] {
            let line = serde_json::to_string(&request).unwrap();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(parse_request(line.as_bytes()), Ok(request));
        }
    }

    #[test]
    fn answers_survive_the_wire_on_one_line() {
        let answers = [
            Response::Status(Box::new(sample::status())),
            Response::Flows(FlowsView { flows: sample::flows(), matched: 9 }),
            Response::Mappings(sample::mappings()),
            Response::Drops(sample::drops()),
            Response::Reloaded(sample::status().policy),
            Response::Refused(Refusal::new(RefusalKind::Policy, "policy.toml:1:2: no\npolicy.toml:3:4: no")),
        ];
        for answer in answers {
            let line = serde_json::to_string(&answer).unwrap();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(serde_json::from_str::<Response>(&line).unwrap(), answer);
        }
    }

    #[test]
    fn the_json_is_the_documented_one() {
        let json = serde_json::to_value(&sample::flows()[1]).unwrap();
        assert_eq!(json["family"], 4);
        assert_eq!(json["protocol"], "tcp");
        assert_eq!(json["internal"], "10.227.128.11:3389");
        assert_eq!(json["external"], serde_json::Value::Null);
        assert_eq!(json["original_destination"], "192.0.2.10:33389");
        assert_eq!(json["state"], "closing");
        assert_eq!(serde_json::to_value(&sample::flows()[3]).unwrap()["internal"], "[2001:db8:1::11]:5353");
        let status = serde_json::to_value(sample::status()).unwrap();
        assert_eq!(status["interfaces"][1]["datapath"], "xdp+tc");
        assert_eq!(status["interfaces"][2]["state"], "missing");
        assert_eq!(serde_json::to_value(sample::drops()).unwrap()["reasons"][0]["kind"], "drop");
    }

    #[test]
    fn whatever_is_not_a_request_is_refused() {
        let nested = "[".repeat(60_000);
        let long = format!("\"{}\"", "x".repeat(MAX_REQUEST));
        let unknown = format!("\"{}\\n\"", "x\\n".repeat(20_000));
        let garbage: [&[u8]; 10] = [
            b"",
            b"{",
            b"\"shutdown\"",
            b"\"status\" \"status\"",
            b"\xff\xfe\x00",
            b"{\"flows\":{\"filter\":{\"port\":65536}}}",
            b"{\"flows\":{\"filter\":{\"colour\":\"red\"}}}",
            nested.as_bytes(),
            long.as_bytes(),
            unknown.as_bytes(),
        ];
        for line in garbage {
            let refusal = parse_request(line).unwrap_err();
            assert_eq!(refusal.kind, RefusalKind::BadRequest, "{}", String::from_utf8_lossy(line));
            assert!(refusal.message.len() < 1000 && !refusal.message.contains('\n'), "{}", refusal.message);
        }
    }
}
