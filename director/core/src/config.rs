//! The configuration file: YAML text to a validated [`Model`], or every error in it at once.
//!
//! Text -> tree with positions (`yaml`) -> mirror of the file (`raw`, by `decode`) -> [`Model`] (`build`).
//! The mirror also makes the JSON Schema, so that the two cannot differ.

mod build;
mod decode;
mod raw;
mod report;
mod suggest;
mod values;
mod yaml;

#[cfg(test)]
mod tests;

pub use report::{Diagnostic, Report, Warnings};
pub use suggest::closest;

use crate::model::Model;
use decode::Decode;
use report::Diagnostics;

/// Reads the text of a configuration file. `file` is its name in the report.
///
/// # Errors
/// Everything that is wrong with the file, by position. Text that is no YAML has one error only: the first.
pub fn load(text: &str, file: &str) -> Result<Model, Report> {
    load_with_warnings(text, file).map(|(model, _)| model)
}

/// As [`load`], with what is strange in the file.
///
/// # Errors
/// As [`load`].
pub fn load_with_warnings(text: &str, file: &str) -> Result<(Model, Warnings), Report> {
    let mut errors = Diagnostics::default();
    let model = yaml::read(text, &mut errors)
        .and_then(|root| raw::File::decode(&root, &mut errors))
        .and_then(|raw| build::build(&raw, &mut errors));
    match model {
        Some(model) if errors.is_empty() => Ok((model, errors.into_warnings(text, file))),
        _ => Err(errors.into_report(text, file)),
    }
}

/// The JSON Schema (draft 2020-12) of the file, for editors. It knows keys, types and ranges; what keys mean to
/// each other, only [`load`] knows.
#[must_use]
pub fn schema() -> serde_json::Value {
    decode::document::<raw::File>("director configuration")
}
