//! Names, paths and other texts.

use crate::config::decode::{Decode, Definitions, NAME_PATTERN, NAME_RULE, is_name, text};
use crate::config::report::{Diagnostics, quoted};
use crate::config::yaml::Node;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Any text of 1 to 1,024 bytes.
#[derive(Debug)]
pub(in crate::config) struct Text(pub(in crate::config) String);

impl Decode for Text {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let text = text(node, "a text", errors)?;
        if !(1..=1024).contains(&text.len()) {
            errors.error(node.span, format!("expected a text of 1 to 1024 bytes, found {}", text.len()));
            return None;
        }
        Some(Self(text.to_owned()))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "minLength": 1, "maxLength": 1024 })
    }
}

/// A name: of something in the file, or of a group.
#[derive(Debug)]
pub(in crate::config) struct Name(pub(in crate::config) String);

impl Decode for Name {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let text = text(node, "a name", errors)?;
        if !is_name(text) {
            let message = format!("{} cannot be a name", quoted(text));
            errors.error_hint(node.span, message, format!("a name has {NAME_RULE}"));
            return None;
        }
        Some(Self(text.to_owned()))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": NAME_PATTERN })
    }
}

/// The name of a network interface.
#[derive(Debug)]
pub(in crate::config) struct InterfaceName(pub(in crate::config) String);

impl Decode for InterfaceName {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let text = text(node, "the name of an interface", errors)?;
        let good = (1..=15).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:\"\\*".contains(&byte))
            && !matches!(text, "." | "..");
        if !good {
            let message = format!("{} cannot be an interface", quoted(text));
            errors.error_hint(
                node.span,
                message,
                "an interface's name has 1 to 15 characters, no blanks and none of / : * \" \\",
            );
            return None;
        }
        Some(Self(text.to_owned()))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^[!#-)+-.0-9;-\\[\\]-~]{1,15}$" })
    }
}

/// An absolute path of at most `MAX` bytes; sockets take 107.
#[derive(Debug)]
pub(in crate::config) struct AbsolutePath<const MAX: usize = 4095>(pub(in crate::config) PathBuf);

impl<const MAX: usize> Decode for AbsolutePath<MAX> {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let text = text(node, "a path", errors)?;
        if !text.starts_with('/') || !(2..=MAX).contains(&text.len()) || text.contains('\0') {
            let message = format!("expected an absolute path of at most {MAX} bytes, found {}", quoted(text));
            errors.error(node.span, message);
            return None;
        }
        Some(Self(PathBuf::from(text)))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^/.", "maxLength": MAX })
    }
}
