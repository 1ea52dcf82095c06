use super::*;
use crate::sample;
use std::collections::{BTreeMap, BTreeSet};

/// Name and labels as printed, to value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (sample, value) = line.rsplit_once(' ').expect(line);
            (sample.to_owned(), value.parse().expect(line))
        })
        .collect()
}

fn scrape(status: &Status) -> String {
    render(status, &Registry::new()).unwrap()
}

#[test]
fn the_exchange_farm_is_told_in_full() {
    let samples = samples(&scrape(&sample::status()));
    let one = "service=\"exchange\",server=\"exchange1\"";
    let two = "service=\"exchange\",server=\"exchange2\"";
    for (sample, value) in [
        ("director_build_info{version=\"0.1.0\"}".to_owned(), 1.0),
        ("director_uptime_seconds".into(), 7500.0),
        ("director_config_info{hash=\"0123456789abcdef\"}".into(), 1.0),
        ("director_config_reloads_total{result=\"ok\"}".into(), 2.0),
        ("director_config_reloads_total{result=\"refused\"}".into(), 1.0),
        ("director_config_last_reload_refused".into(), 0.0),
        ("director_reconcile_runs_total".into(), 42.0),
        ("director_reconcile_failures_total".into(), 1.0),
        ("director_reconcile_last_seconds".into(), 0.0042),
        ("director_drift_repairs_total{kind=\"ruleset\"}".into(), 2.0),
        ("director_drift_repairs_total{kind=\"address\"}".into(), 1.0),
        ("director_drift_repairs_total{kind=\"setting\"}".into(), 0.0),
        ("director_setting_deviates{name=\"net.ipv4.ip_forward\"}".into(), 0.0),
        ("director_address_present{address=\"192.168.1.35\",interface=\"eth0\"}".into(), 1.0),
        ("director_redundancy_answers".into(), 1.0),
        ("director_redundancy_role{role=\"active\"}".into(), 1.0),
        ("director_redundancy_role{role=\"backup\"}".into(), 0.0),
        ("director_redundancy_role{role=\"initialize\"}".into(), 0.0),
        ("director_redundancy_role_seconds".into(), 7440.25),
        ("director_redundancy_priority".into(), 150.0),
        ("director_redundancy_fit".into(), 1.0),
        ("director_redundancy_dual_active_seconds_total".into(), 0.25),
        ("director_redundancy_discards_total{reason=\"authentication\"}".into(), 3.0),
        ("director_redundancy_discards_total{reason=\"vrid\"}".into(), 0.0),
        ("director_redundancy_adverts_sent_total{link=\"public\",interface=\"eth0\"}".into(), 7440.0),
        ("director_redundancy_advert_age_seconds{link=\"private\",interface=\"eth1\"}".into(), 7432.5),
        ("director_redundancy_peer_same_configuration{peer=\"lb2\"}".into(), 1.0),
        ("director_service_info{service=\"exchange\",mark=\"80\",scheduler=\"wrr\"}".into(), 1.0),
        ("director_service_servers_up{service=\"exchange\"}".into(), 1.0),
        ("director_service_serving{service=\"exchange\",pool=\"regular\"}".into(), 1.0),
        ("director_service_serving{service=\"exchange\",pool=\"sorry\"}".into(), 0.0),
        ("director_service_priority{service=\"exchange\"}".into(), 0.0),
        ("director_service_quorum_present{service=\"exchange\"}".into(), 1.0),
        ("director_service_quorum_held{service=\"exchange\"}".into(), 1.0),
        ("director_service_rate_limited_total{service=\"exchange\"}".into(), 3.0),
        ("director_service_syn_protection{service=\"exchange\"}".into(), 1.0),
        ("director_service_closed_ports{service=\"exchange\"}".into(), 1.0),
        (
            "director_port_state{service=\"exchange\",protocol=\"tcp\",port=\"2525\",state=\"drained\"}"
                .into(),
            1.0,
        ),
        ("director_port_overridden{service=\"exchange\",protocol=\"tcp\",port=\"2525\"}".into(), 1.0),
        ("director_service_connections_total{service=\"exchange\"}".into(), 2434.0),
        ("director_service_active_connections{service=\"exchange\"}".into(), 58.0),
        ("director_service_bytes_total{service=\"exchange\",direction=\"in\"}".into(), 12345678.0),
        (format!("director_server_state{{{one},state=\"up\"}}"), 1.0),
        (format!("director_server_state{{{one},state=\"drained\"}}"), 0.0),
        (format!("director_server_state{{{two},state=\"drained\"}}"), 1.0),
        (format!("director_server_state{{{two},state=\"up\"}}"), 0.0),
        (format!("director_server_weight{{{two}}}"), 0.0),
        (format!("director_server_share_ratio{{{one}}}"), 1.0),
        (format!("director_server_configured_weight{{{two}}}"), 1.0),
        (format!("director_server_overridden{{{one}}}"), 0.0),
        (format!("director_server_overridden{{{two}}}"), 1.0),
        (format!("director_server_connections_total{{{one}}}"), 1234.0),
        (format!("director_server_active_connections{{{one}}}"), 56.0),
        (format!("director_server_inactive_connections{{{one}}}"), 7.0),
        (format!("director_server_packets_total{{{one},direction=\"in\"}}"), 98765.0),
        (format!("director_server_packets_total{{{one},direction=\"out\"}}"), 87654.0),
        (format!("director_server_bytes_total{{{one},direction=\"out\"}}"), 1234567890.0),
        (format!("director_probe_up{{{one},probe=\"rdp\"}}"), 1.0),
        (format!("director_probe_attempts_total{{{one},probe=\"rdp\"}}"), 100.0),
        (format!("director_probe_failures_total{{{one},probe=\"rdp\"}}"), 3.0),
        (format!("director_probe_faults_total{{{one},probe=\"rdp\",fault=\"timed-out\"}}"), 1.0),
        (format!("director_probe_slow{{{one},probe=\"rdp\"}}"), 0.0),
        (format!("director_probe_damped{{{one},probe=\"rdp\"}}"), 0.0),
        (format!("director_probe_latency_seconds{{{one},probe=\"rdp\"}}"), 0.0015),
        (
            "director_management_connections_total{management=\"exchange1-rdp\",server=\"exchange1\"}".into(),
            5.0,
        ),
    ] {
        assert_eq!(samples.get(&sample), Some(&value), "{sample}");
    }
}

/// The sample has everything that has a metric, so each one must be printed, with its help and kind.
#[test]
fn every_metric_is_printed_once_with_help_and_kind() {
    let text = scrape(&sample::status());
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let head =
            format!("# HELP {} {}\n# TYPE {} {kind}\n{}", metric.name, metric.help, metric.name, metric.name);
        assert_eq!(text.matches(&head).count(), 1, "{head}");
    }
    assert_eq!(text.matches("# TYPE ").count(), ALL.len());
}

#[test]
fn names_follow_the_conventions() {
    let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), ALL.len(), "a name stands for two metrics");
    for metric in ALL {
        let word = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(metric.name.starts_with("director_") && word(metric.name), "{}", metric.name);
        assert!(metric.labels.iter().all(|label| word(label)), "{}", metric.name);
        assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}

#[test]
fn labels_are_escaped() {
    let mut status = sample::status();
    status.services[0].name = "a\"b\\c\nd".into();
    let text = scrape(&status);
    assert!(text.contains("director_server_weight{service=\"a\\\"b\\\\c\\nd\",server=\"exchange1\"} 1\n"));
}

#[test]
fn what_is_not_there_has_no_sample() {
    let mut status = sample::status();
    status.services.clear();
    status.management.clear();
    let text = scrape(&status);
    assert!(!text.contains("director_server_") && !text.contains("director_management_"));
    let mut status = sample::status();
    let probe = &mut status.services[0].servers[0].probes[0];
    (probe.state, probe.latency_micros) = (ProbeState::Unknown, None);
    probe.faults.clear();
    status.services[0].serving_priority = None;
    (status.services[0].rate_limit, status.services[0].syn_protection) = (None, None);
    let redundancy = status.redundancy.as_mut().unwrap();
    (redundancy.peers[0].says, redundancy.links[0].heard_seconds) = (None, None);
    let text = scrape(&status);
    assert!(
        text.contains("director_redundancy_peer_reachable") && !text.contains("director_redundancy_peer_fit")
    );
    assert!(!text.contains("director_redundancy_advert_age_seconds{link=\"public\""));
    assert!(!text.contains("director_probe_up") && !text.contains("director_probe_faults"));
    assert!(!text.contains("director_probe_latency_seconds") && !text.contains("director_service_priority"));
    assert!(!text.contains("director_service_rate_limited") && !text.contains("director_service_syn"));
}

#[test]
fn a_sole_director_has_no_role_and_a_silent_thread_is_told() {
    let mut status = Status { redundancy: None, ..sample::status() };
    let text = scrape(&status);
    assert_eq!(text.matches("director_redundancy_").count(), 3, "HELP, TYPE and the sample of one: {text}");
    assert!(text.contains("\ndirector_redundancy_answers 1\n"));
    status.redundancy_error = Some("it hangs".into());
    assert!(scrape(&status).contains("\ndirector_redundancy_answers 0\n"));
}

#[test]
fn metrics_of_other_parts_follow() {
    let registry = Registry::new();
    let counter = prometheus::IntCounter::new("director_other_total", "Of another part.").unwrap();
    counter.inc();
    registry.register(Box::new(counter)).unwrap();
    assert!(render(&sample::status(), &registry).unwrap().ends_with("\ndirector_other_total 1\n"));
}

#[test]
fn every_metric_is_documented() {
    let reference = include_str!("../../../docs/api.md");
    for metric in ALL {
        let help = metric.help.trim_end_matches('.');
        assert!(
            reference.contains(&format!("| `{}` |", metric.name)),
            "{} is not in docs/api.md",
            metric.name
        );
        assert!(
            reference.contains(&format!("| {help} |")),
            "{}: docs/api.md says something else",
            metric.name
        );
    }
}
