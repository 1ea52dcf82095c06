//! Programs.

use crate::config::build::programs::{command, user};
use crate::config::decode::Spanned;
use crate::config::raw::{self, Argument};
use crate::config::report::{Diagnostics, Span, quoted};
use health::kind::{Exec, ExitMeaning};

const EXAMPLE: &str = "[/usr/bin/check, -H, \"%h\"]";

/// `None`: there is no command, and that is reported. `place`: where the type stands.
pub(super) fn build(raw: &raw::Probe, place: Span, complete: bool, errors: &mut Diagnostics) -> Option<Exec> {
    let Some(list) = &raw.command else {
        if complete {
            let hint = format!("command: the program and its arguments, as {EXAMPLE}");
            errors.error_hint(place, "the key \"command\" is missing", hint);
        }
        return None;
    };
    for word in &list.0 {
        check_tokens(word, errors);
    }
    Some(Exec {
        command: command(list, EXAMPLE, errors),
        user: user(raw.user.as_ref(), errors),
        exit: match raw.exit.as_ref().map(|exit| exit.value) {
            None | Some(raw::Exit::Weight) => ExitMeaning::Weight,
            Some(raw::Exit::Nagios) => ExitMeaning::Nagios,
        },
    })
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
