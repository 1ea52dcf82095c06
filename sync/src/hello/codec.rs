//! Hellos as bytes: an object in JSON.
//!
//! ```text
//! {"hello":1,"node":"lb1","instance":1,"role":"active","priority":150,"lowered":0,"fit":true,
//!  "caught_up":true,"stood_down":false,"chosen":false,"configuration":"0123456789abcdef","version":"0.1.0",
//!  "centiseconds":100,"refuses":{"node":"lb2","epoch":7}}
//! ```
//!
//! `refuses` is there only if it does.
//!
//! Text and not bytes in fixed places: there is one a second, so that its size costs nothing; whoever captures it can
//! read it; fields that a later version adds are passed over by an earlier one, and a well-tried parser reads what
//! strangers send. `hello` grows only when an earlier version could not make sense of the rest.

use super::{Discard, Hello, Refused};
use crate::vrrp::machine::Role;
use crate::vrrp::timing::{Interval, Priority};
use serde::{Deserialize, Serialize};

/// Bytes of a message at most, its signature included.
pub const LONGEST: usize = 1024;

impl Hello {
    pub(super) fn encode(&self) -> Vec<u8> {
        let wire = Wire {
            hello: VERSION,
            node: self.node.clone(),
            instance: self.instance,
            role: self.role,
            priority: self.priority.get(),
            lowered: self.lowered,
            fit: self.fit,
            caught_up: self.caught_up,
            stood_down: self.stood_down,
            chosen: self.chosen,
            configuration: self.configuration.clone(),
            version: self.version.clone(),
            centiseconds: self.interval.centiseconds(),
            refuses: self.refuses.clone().map(|Refused { node, epoch }| RefusedWire { node, epoch }),
        };
        // Plain values and no maps: there is nothing that could fail.
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Discard> {
        let Head { hello } = serde_json::from_slice(bytes).map_err(|_| Discard::NotHello)?;
        if hello != VERSION {
            return Err(Discard::Version { got: hello });
        }
        let wire: Wire = serde_json::from_slice(bytes).map_err(|_| Discard::Field("structure"))?;
        let text = |field, text: String, good: fn(u8) -> bool| {
            let good = (1..=TEXT).contains(&text.len()) && text.bytes().all(good);
            if good { Ok(text) } else { Err(Discard::Field(field)) }
        };
        let node = |field, name| text(field, name, |byte| byte.is_ascii_graphic());
        let refused =
            |RefusedWire { node: name, epoch }| node("refuses", name).map(|node| Refused { node, epoch });
        Ok(Self {
            node: node("node", wire.node)?,
            instance: wire.instance,
            role: wire.role,
            priority: Priority::new(wire.priority).ok_or(Discard::Field("priority"))?,
            lowered: wire.lowered,
            fit: wire.fit,
            caught_up: wire.caught_up,
            stood_down: wire.stood_down,
            chosen: wire.chosen,
            configuration: text("configuration", wire.configuration, |byte| byte.is_ascii_hexdigit())?,
            version: text("version", wire.version, |byte| byte == b' ' || byte.is_ascii_graphic())?,
            interval: Interval::from_centiseconds(wire.centiseconds)
                .map_err(|_| Discard::Field("centiseconds"))?,
            refuses: wire.refuses.map(refused).transpose()?,
        })
    }
}

#[derive(Deserialize)]
struct Head {
    hello: u64,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    hello: u64,
    node: String,
    instance: u64,
    #[serde(with = "RoleWord")]
    role: Role,
    priority: u8,
    lowered: u8,
    fit: bool,
    caught_up: bool,
    // Earlier versions don't say these.
    #[serde(default)]
    stood_down: bool,
    #[serde(default)]
    chosen: bool,
    configuration: String,
    version: String,
    centiseconds: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refuses: Option<RefusedWire>,
}

#[derive(Serialize, Deserialize)]
struct RefusedWire {
    node: String,
    epoch: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Role", rename_all = "lowercase")]
enum RoleWord {
    Initialize,
    Backup,
    Active,
}

const VERSION: u64 = 1;
/// Bytes of a text.
const TEXT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hello::channel::tests::{hello, hellos};
    use proptest::prelude::*;

    fn changed(from: &str, to: &str) -> Result<Hello, Discard> {
        let text = String::from_utf8(hello().encode()).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        Hello::decode(text.replace(from, to).as_bytes())
    }

    #[test]
    fn is_readable_and_has_room_for_more() {
        let expected = concat!(
            r#"{"hello":1,"node":"lb1","instance":7,"role":"backup","priority":150,"lowered":0,"fit":true,"#,
            r#""caught_up":false,"stood_down":true,"chosen":false,"configuration":"0123456789abcdef","version":"0.1.0","centiseconds":100}"#
        );
        assert_eq!(String::from_utf8(hello().encode()).unwrap(), expected);
        let earlier = Hello { stood_down: false, ..hello() };
        assert_eq!(changed(r#""stood_down":true,"chosen":false,"#, ""), Ok(earlier));
        assert_eq!(changed(r#""node":"#, r#""later":{"a":[1]},"node":"#), Ok(hello()));
        let refuses = Some(Refused { node: "lb2".into(), epoch: 7 });
        let says = r#":100,"refuses":{"node":"lb2","epoch":7}}"#;
        assert_eq!(changed(":100}", says), Ok(Hello { refuses, ..hello() }));
        assert_eq!(changed(":100}", &says.replace("lb2", "l b2")), Err(Discard::Field("refuses")));
    }

    #[test]
    fn says_why_it_refuses() {
        assert_eq!(Hello::decode(b""), Err(Discard::NotHello));
        assert_eq!(Hello::decode(b"{}"), Err(Discard::NotHello));
        assert_eq!(Hello::decode(&[b'['; LONGEST]), Err(Discard::NotHello));
        assert_eq!(changed("}", "} "), Ok(hello()));
        assert_eq!(changed("}", "}}"), Err(Discard::NotHello));
        assert_eq!(changed(r#""hello":1"#, r#""hello":2"#), Err(Discard::Version { got: 2 }));
        assert_eq!(changed(r#""fit":true,"#, ""), Err(Discard::Field("structure")));
        assert_eq!(changed("backup", "Backup"), Err(Discard::Field("structure")));
        assert_eq!(changed("150", "256"), Err(Discard::Field("structure")));
        assert_eq!(changed("150", "0"), Err(Discard::Field("priority")));
        assert_eq!(changed(":100}", ":0}"), Err(Discard::Field("centiseconds")));
        assert_eq!(changed(":100}", ":4096}"), Err(Discard::Field("centiseconds")));
        assert_eq!(changed("lb1", ""), Err(Discard::Field("node")));
        assert_eq!(changed("lb1", &"n".repeat(65)), Err(Discard::Field("node")));
        assert_eq!(changed("0123456789abcdef", "0x1"), Err(Discard::Field("configuration")));
        assert_eq!(changed("0.1.0", r"\u001b[31m"), Err(Discard::Field("version")), "it goes to terminals");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(hello in hellos()) {
            let bytes = hello.encode();
            prop_assert!(bytes.len() <= LONGEST / 2);
            prop_assert_eq!(Hello::decode(&bytes), Ok(hello));
        }
    }
}
