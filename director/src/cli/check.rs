//! Checks configuration files, and tries what they probe if asked to.

mod targets;

use super::Failure;
use super::output::{Printer, complain};
use crate::configuration::{self, Configuration};
use crate::daemon;
use director_core::config::{self, Diagnostic};
use serde::Serialize;
use std::path::{Path, PathBuf};
use targets::{Targets, Text};

/// What is known of one file.
#[derive(Debug, Default, Serialize)]
struct Checked {
    file: String,
    /// It can be run.
    ok: bool,
    /// Why it could not be read at all.
    unreadable: Option<String>,
    errors: Vec<Diagnostic>,
    /// What may be meant.
    warnings: Vec<Diagnostic>,
    /// Further errors that are only counted.
    omitted: usize,
    /// What came of trying its probes; absent unless they were tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    probes: Option<Targets>,
}

/// How probes are tried.
#[derive(Debug)]
pub(super) struct Trying {
    /// Name of this director in the files; `None`: the host name.
    pub(super) node: Option<String>,
    /// Show those that pass too.
    pub(super) verbose: bool,
}

/// Checks every file and reports all that is wrong with them.
pub(super) async fn check(
    files: &[PathBuf],
    trying: Option<&Trying>,
    printer: Printer,
) -> Result<(), Failure> {
    let mut all = Vec::new();
    for path in files {
        let file = path.display().to_string();
        let mut checked = Checked { file, ..Checked::default() };
        match configuration::read(path) {
            Err(error) => {
                printer.text_only(|| complain(&format!("error: {error}\n\n")));
                checked.unreadable = Some(error.to_string());
            }
            Ok(text) => match config::load_with_warnings(&text, &checked.file) {
                Ok((_, warnings)) => {
                    checked.ok = true;
                    if !warnings.warnings.is_empty() {
                        printer.text_only(|| complain(&format!("{warnings}\n")));
                    }
                    checked.warnings = warnings.warnings;
                    printer.text(&format_args!("{}: ok\n", checked.file))?;
                    if let Some(trying) = trying {
                        checked.probes = Some(try_probes(path, &checked.file, trying, printer).await?);
                    }
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
    if bad > 0 {
        return Err(Failure::Check { bad, all: all.len() });
    }
    let tried = || all.iter().filter_map(|checked| checked.probes.as_ref());
    match tried().map(Targets::failed).sum() {
        0 => Ok(()),
        failed => Err(Failure::Targets { failed, all: tried().map(Targets::all).sum() }),
    }
}

async fn try_probes(
    path: &Path,
    file: &str,
    Trying { node, verbose }: &Trying,
    printer: Printer,
) -> Result<Targets, Failure> {
    let configuration = Configuration::load(path, &daemon::node_name(node.as_deref())?)?;
    let targets = Targets::try_all(&configuration).await;
    printer.text(&Text { targets: &targets, file, all: *verbose })?;
    Ok(targets)
}
