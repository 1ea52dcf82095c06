//! Samples gathered by metric, in the order of [`super::ALL`].

use super::{ALL, Kind, Metric};
use prometheus::proto::{self, MetricFamily, MetricType};
use std::collections::HashMap;

/// What one scrape has gathered so far.
#[derive(Debug, Default)]
pub(super) struct Families(HashMap<&'static str, Vec<proto::Metric>>);

impl Families {
    /// Adds a sample; `values` belong to the metric's labels, one each.
    pub(super) fn set(&mut self, metric: Metric, values: &[&str], value: f64) {
        debug_assert_eq!(metric.labels.len(), values.len(), "labels of {}", metric.name);
        let labels = metric.labels.iter().zip(values).map(|(name, value)| {
            let mut label = proto::LabelPair::default();
            label.set_name((*name).to_owned());
            label.set_value((*value).to_owned());
            label
        });
        let mut sample = proto::Metric::from_label(labels.collect());
        match metric.kind {
            Kind::Counter => {
                let mut counter = proto::Counter::default();
                counter.set_value(value);
                sample.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value);
                sample.set_gauge(gauge);
            }
        }
        self.0.entry(metric.name).or_default().push(sample);
    }

    /// All families that have a sample.
    pub(super) fn into_proto(mut self) -> Vec<MetricFamily> {
        ALL.iter()
            .filter_map(|metric| {
                let mut family = MetricFamily::default();
                family.set_metric(self.0.remove(metric.name)?);
                family.set_name(metric.name.to_owned());
                family.set_help(metric.help.to_owned());
                family.set_field_type(match metric.kind {
                    Kind::Counter => MetricType::COUNTER,
                    Kind::Gauge => MetricType::GAUGE,
                });
                Some(family)
            })
            .collect()
    }
}
