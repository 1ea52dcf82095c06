//! Programs.

use crate::config::decode::Spanned;
use crate::config::raw::{self, Argument};
use crate::config::report::{Diagnostics, Span, quoted};
use crate::config::values::Text;
use health::kind::{Exec, ExitMeaning};

const MAX_ARGUMENTS: usize = 64;
const USER: &str = "nobody";

/// `None`: there is no command, and that is reported. `place`: where the type stands.
pub(super) fn build(raw: &raw::Probe, place: Span, complete: bool, errors: &mut Diagnostics) -> Option<Exec> {
    let Some(list) = &raw.command else {
        if complete {
            let hint = "command: the program and its arguments, as [/usr/bin/check, -H, \"%h\"]";
            errors.error_hint(place, "the key \"command\" is missing", hint);
        }
        return None;
    };
    let words = &list.value.0;
    if let Some(program) = words.first() {
        check_program(program, errors);
    }
    if let Some(extra) = words.get(MAX_ARGUMENTS) {
        let message = format!("the command has {} parts; at most {MAX_ARGUMENTS} are allowed", words.len());
        errors.error(extra.span, message);
    }
    for word in words {
        check_tokens(word, errors);
    }
    Some(Exec {
        command: words.iter().map(|word| word.0.clone()).collect(),
        user: raw.user.as_ref().map_or_else(|| USER.to_owned(), |text| user(text, errors)),
        exit: match raw.exit.as_ref().map(|exit| exit.value) {
            None | Some(raw::Exit::Weight) => ExitMeaning::Weight,
            Some(raw::Exit::Nagios) => ExitMeaning::Nagios,
        },
    })
}

fn check_program(program: &Spanned<Argument>, errors: &mut Diagnostics) {
    let shown = quoted(&program.0);
    if !program.0.starts_with('/') {
        let message = format!("the program {shown} is no absolute path");
        let hint = "there is no shell and no search path: write it as /usr/bin/check";
        errors.error_hint(program.span, message, hint);
    } else if [" -", " %"].iter().any(|begin| program.0.contains(begin)) {
        let message = format!("the program {shown} has its arguments with it");
        let hint = "there is no shell to part them: write each for itself, as [/usr/bin/check, -H, \"%h\"]";
        errors.error_hint(program.span, message, hint);
    }
}

fn check_tokens(word: &Spanned<Argument>, errors: &mut Diagnostics) {
    let mut rest = word.0.as_str();
    while let Some((_, after)) = rest.split_once('%') {
        let token = after.chars().next();
        if !matches!(token, Some('h' | 'p' | '%')) {
            let token: String = std::iter::once('%').chain(token).collect();
            let message = format!("unknown token {} in the command", quoted(&token));
            errors.error_hint(word.span, message, "%h is the address, %p the port, %% a percent sign");
            return;
        }
        rest = after.get(1..).unwrap_or_default();
    }
}

fn user(text: &Spanned<Text>, errors: &mut Diagnostics) -> String {
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
