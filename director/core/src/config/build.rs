//! From the mirror of the file to the [`Model`]: what keys mean to each other. Every error is reported; nothing
//! that this version does not do is passed over.

mod addresses;
mod checks;
mod limits;
mod management;
mod marks;
mod nodes;
mod pool;
mod ports;
mod probes;
mod programs;
mod redundancy;
mod scheduler;
mod servers;
mod services;
mod settings;
mod unsupported;

use super::decode::{Entry, List, Named, Spanned};
use super::raw::File;
use super::report::{Diagnostics, Span, quoted};
use super::suggest::closest;
use super::values;
use crate::model::{Granularity, Model};
use addresses::Addresses;

/// The version of the format that is read.
const VERSION: u32 = 1;

/// Suggestions are sought for so many errors: each looks at every name.
const MAX_SUGGESTIONS: usize = 100;

/// `None`: the file has no usable nodes, and an error says so.
pub(super) fn build(file: &File, errors: &mut Diagnostics) -> Option<Model> {
    if let Some(version) = file.version.as_ref().filter(|version| version.0 != VERSION) {
        let message = format!("version {} of the format is not known", version.0);
        errors.error_hint(version.span, message, format!("this director reads version {VERSION}"));
    }
    unsupported::file(file, errors);

    let mut addresses = Addresses::default();
    let nodes = nodes::build(file, &mut addresses, errors);
    let gateways = nodes::gateways(file, &nodes, &mut addresses, errors);
    let mut servers = servers::build(file, &mut addresses, errors);
    let mut probes = probes::build(file, errors);
    let marks = marks::assign(file, errors);
    let mut context = services::Context {
        nodes: &nodes,
        marks: &marks,
        servers: &mut servers,
        probes: &mut probes,
        addresses: &mut addresses,
        errors,
    };
    let services = services::build(file, &mut context);
    let management = management::build(file, &mut context);
    let redundancy = redundancy::build(file, &nodes, &addresses, &mut probes, errors);
    servers.check_reach(&nodes, errors);
    probes.check_sources(&addresses, nodes.len(), errors);
    probes.check_destinations(&addresses, errors);
    if all_uses_are_known(file, errors) {
        servers.report_unused(errors);
        probes.report_unused(errors);
    }

    let kernel = file.kernel.as_deref();
    let model = Model {
        outbound: settings::outbound(file.outbound.as_deref(), &nodes, errors),
        kernel: settings::kernel(kernel),
        persistence_limit: settings::persistence_limit(kernel),
        redundancy,
        api: settings::api(file.api.as_deref(), errors),
        nodes,
        gateways,
        services,
        management,
        probes: probes.into_specs(),
    };
    (!model.nodes.is_empty()).then_some(model)
}

/// False if something that was reported may be what uses a server or probe.
fn all_uses_are_known(file: &File, errors: &Diagnostics) -> bool {
    let services = file.services.as_ref();
    let management = file.management.as_ref();
    let broken =
        entries(services).iter().any(|it| it.broken) || entries(management).iter().any(|it| it.broken);
    let tracks_all = file.redundancy.as_ref().is_none_or(|redundancy| !redundancy.broken);
    !broken && tracks_all && (services.is_some() || errors.is_empty())
}

/// The entries of a section that may be missing.
fn entries<T>(section: Option<&Spanned<Named<T>>>) -> &[Entry<T>] {
    section.map_or(&[], |named| &named.0)
}

/// What stands under a key or its plural: `vip: X` or `vips: [X, Y]`.
fn one_or_several<'a, T>(
    one: Option<&'a Spanned<T>>,
    several: Option<&'a Spanned<List<T>>>,
) -> impl Iterator<Item = &'a Spanned<T>> {
    one.into_iter().chain(several.into_iter().flat_map(|list| &list.0))
}

/// Which clients are one; what is not given has its default.
fn granularity(
    v4: Option<&Spanned<values::Granularity<32>>>,
    v6: Option<&Spanned<values::Granularity<128>>>,
) -> Granularity {
    let default = Granularity::default();
    Granularity { v4: v4.map_or(default.v4, |bits| bits.0), v6: v6.map_or(default.v6, |bits| bits.0) }
}

/// Reports that no `what` is named `name`, and returns the name that was probably meant.
fn unknown_name<'a>(
    what: &str,
    name: &str,
    span: Span,
    known: impl Iterator<Item = &'a str> + Clone,
    errors: &mut Diagnostics,
) -> Option<&'a str> {
    let meant = if errors.count() < MAX_SUGGESTIONS { closest(name, known) } else { None };
    let message = format!("there is no {what} named {}", quoted(name));
    let hint = match meant {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("name it under `{what}s`"),
    };
    errors.error_hint(span, message, hint);
    meant
}
