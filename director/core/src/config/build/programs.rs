//! Programs that the director runs.

use crate::config::decode::{List, Spanned};
use crate::config::raw::Argument;
use crate::config::report::{Diagnostics, quoted};
use crate::config::values::Text;

const MAX_ARGUMENTS: usize = 64;
const USER: &str = "nobody";

/// A program and its arguments; `example` shows how they are written.
pub(super) fn command(list: &List<Argument>, example: &str, errors: &mut Diagnostics) -> Vec<String> {
    let words = &list.0;
    if let Some(program) = words.first() {
        check_program(program, example, errors);
    }
    if let Some(extra) = words.get(MAX_ARGUMENTS) {
        let message = format!("the command has {} parts; at most {MAX_ARGUMENTS} are allowed", words.len());
        errors.error(extra.span, message);
    }
    words.iter().map(|word| word.0.clone()).collect()
}

fn check_program(program: &Spanned<Argument>, example: &str, errors: &mut Diagnostics) {
    let shown = quoted(&program.0);
    if !program.0.starts_with('/') {
        let message = format!("the program {shown} is no absolute path");
        let hint = "there is no shell and no search path: write it as /usr/bin/check";
        errors.error_hint(program.span, message, hint);
    } else if [" -", " %"].iter().any(|begin| program.0.contains(begin)) {
        let message = format!("the program {shown} has its arguments with it");
        let hint = format!("there is no shell to part them: write each for itself, as {example}");
        errors.error_hint(program.span, message, hint);
    }
}

/// The user that a program runs as.
pub(super) fn user(text: Option<&Spanned<Text>>, errors: &mut Diagnostics) -> String {
    let Some(text) = text else { return USER.to_owned() };
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let good = text.0.len() <= 32
        && text.0.bytes().next().is_some_and(first)
        && text.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !good {
        let message = format!("{} cannot be the name of a user", quoted(&text.0));
        errors.error_hint(text.span, message, "a name of this machine's users, as `nobody`; no number");
    } else if text.0 == "root" {
        let message = "programs of probes do not run as root";
        errors.error_hint(text.span, message, "give it a user of its own, with no more rights than it needs");
    }
    text.0.clone()
}
