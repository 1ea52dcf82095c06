//! Checks configuration files.

use super::Failure;
use super::output::{Printer, complain};
use crate::configuration;
use director_core::config::{self, Diagnostic};
use serde::Serialize;
use std::path::PathBuf;

/// What is known of one file.
#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    /// It can be run.
    ok: bool,
    /// Why it could not be read at all.
    unreadable: Option<String>,
    errors: Vec<Diagnostic>,
    /// Further errors that are only counted.
    omitted: usize,
}

/// Checks every file and reports all that is wrong with them.
pub(super) fn check(files: &[PathBuf], printer: Printer) -> Result<(), Failure> {
    let mut all = Vec::new();
    for path in files {
        let file = path.display().to_string();
        let mut checked = Checked { file, ok: false, unreadable: None, errors: Vec::new(), omitted: 0 };
        match configuration::read(path) {
            Err(error) => {
                printer.text_only(|| complain(&format!("error: {error}\n\n")));
                checked.unreadable = Some(error.to_string());
            }
            Ok(text) => match config::load(&text, &checked.file) {
                Ok(_) => {
                    checked.ok = true;
                    printer.text(&format_args!("{}: ok\n", checked.file))?;
                }
                Err(report) => {
                    printer.text_only(|| complain(&format!("{report}\n")));
                    (checked.errors, checked.omitted) = (report.errors, report.omitted);
                }
            },
        }
        all.push(checked);
    }
    printer.json_only(&all)?;
    let bad = all.iter().filter(|checked| !checked.ok).count();
    if bad == 0 { Ok(()) } else { Err(Failure::Check { bad, all: all.len() }) }
}
