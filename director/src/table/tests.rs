use super::*;
use crate::sample as samples;
use crate::status::{QuorumStatus, ServerState, ServingStatus, SettingStatus, Status, SynProtectionStatus};

/// Of a director alone: what stands above of the virtual router has tests of its own.
mod sample {
    use super::*;

    pub(super) fn status() -> Status {
        Status { redundancy: None, ..samples::status() }
    }
}

#[test]
fn the_exchange_farm_reads_like_ipvsadm() {
    let expected = "\
director lb1, version 0.1.0, up 2h 5m
configuration /etc/director/director.yaml (0123456789abcdef), loaded 1m 5s ago
reconciled 42 times, 1 failed, 3 drift repairs (address 1, ruleset 2), last change took 4.2 ms

FWM  Mark Service Scheduler Flags  VIP  Ports
  -> Server     Address   State      Weight  Conns  Active  Inactive  InPkts  OutPkts   InBytes    OutBytes  Reason
FWM  80 (0x50) exchange wrr persistent 600s/32 limit 10/second burst 20 refused 3 syn-protection  192.168.1.35  tcp 25,80,443,465,587,717,2525 (tcp 2525 drained)
  -> exchange1  10.0.1.1  up              1   1234      56         7   98765    87654  12345678  1234567890  rdp answers in 1.5 ms
  -> exchange2  10.0.1.2  drained  0 (of 1)   1200       2         0       0        0         0           0  drained by an operator
FWM  1 (0x1) exchange1-rdp management  192.168.1.36  every port
  -> exchange1  10.0.1.1  -               -      5       1         0       0        0         0           0
";
    assert_eq!(Table(&sample::status()).to_string(), expected);
}

#[test]
fn rates_read_like_ipvsadm() {
    let status = sample::status();
    let service = service_line(&status.services[0]);
    let expected = format!(
        "\
rates a second, over the last 6.3 s

FWM  Mark Service Scheduler Flags  VIP  Ports
  -> Server     Address   State      Weight  CPS  InPPS  OutPPS  InBPS   OutBPS
{service}
  -> (all)      -         -               -  2.5  120.6   110.4   9876  1234568
  -> exchange1  10.0.1.1  up              1  2.5  120.0   110.4   9876  1234568
  -> exchange2  10.0.1.2  drained  0 (of 1)  0.0    0.6     0.0      0        0
FWM  1 (0x1) exchange1-rdp management  192.168.1.36  every port
  -> exchange1  10.0.1.1  -               -  0.0    0.0     0.0      0        0
"
    );
    let text = RateTable(&status).to_string();
    assert_eq!(text.lines().skip(3).map(|line| format!("{line}\n")).collect::<String>(), expected);
}

#[test]
fn rates_that_are_not_there_yet_are_explained() {
    let mut status = sample::status();
    status.rates_seconds = None;
    status.services[0].rates = None;
    status.services[0].servers.iter_mut().for_each(|server| server.rates = None);
    let text = RateTable(&status).to_string();
    assert!(text.contains("\nno rates yet: they take two readings of the counters, 5 s apart\n"), "{text}");
    assert!(text.contains("up              1    -"), "{text}");
}

#[test]
fn what_needs_attention_stands_above_the_table() {
    let mut status = sample::status();
    status.configuration.error = Some("director.yaml:3:1: unknown key \"wieght\"\n  hint: weight\n".into());
    status.reconcile.error = Some("the kernel refused to add chain svc-a".into());
    status.addresses[0].present = false;
    status.settings[0].actual = Some("0".into());
    status.settings.push(SettingStatus {
        name: "net.netfilter.nf_conntrack_acct".into(),
        wanted: "1".into(),
        actual: None,
    });
    let mut other = status.services[0].clone();
    (other.name, other.serving) = ("smtp".into(), ServingStatus::Sorry);
    status.services[0].quorum.held = false;
    status.services[0].syn_protection = Some(SynProtectionStatus::Unsupported);
    status.services.push(other);
    let text = Table(&status).to_string();
    let attention: Vec<&str> = text.lines().skip(3).take_while(|line| !line.is_empty()).collect();
    assert_eq!(
        attention,
        [
            "! the last reload was refused: director.yaml:3:1: unknown key \"wieght\"",
            "      hint: weight",
            "! the last reconcile run failed: the kernel refused to add chain svc-a",
            "! setting net.ipv4.ip_forward is 0, wanted is 1",
            "! setting net.netfilter.nf_conntrack_acct does not exist in this kernel, wanted is 1",
            "! address 192.168.1.35 is missing on eth0",
            "! service exchange is below its quorum, and has no sorry server that could serve",
            "! service smtp is served by its sorry servers",
            "! service exchange runs without SYN protection: this kernel has none",
        ]
    );
}

#[test]
fn a_configured_weight_is_shown_beside_one_that_differs_or_was_set() {
    let mut server = sample::status().services.remove(0).servers.remove(0);
    assert_eq!(weight(&server), "1");
    server.override_weight = Some(1);
    assert_eq!(weight(&server), "1 (of 1)");
    (server.weight, server.override_weight) = (60, Some(60));
    assert_eq!(weight(&server), "60 (of 1)");
    (server.weight, server.override_weight, server.state) = (0, None, ServerState::Down);
    assert_eq!(weight(&server), "0 (of 1)");
}

#[test]
fn both_families_and_port_maps_are_shown() {
    let mut service = sample::status().services.remove(0);
    service.vips.push("fd00::35".parse().unwrap());
    service.ports = vec!["tcp 80".into(), "udp 1000-2000".into()];
    service.port_states.clear();
    service.granularity_v4 = Some(24);
    service.granularity_v6 = Some(64);
    (service.rate_limit, service.syn_protection) = (None, None);
    assert_eq!(
        service_line(&service),
        "FWM  80 (0x50) exchange wrr persistent 600s/24,v6/64  192.168.1.35,fd00::35  tcp 80 udp 1000-2000"
    );
    service.persistence_seconds = None;
    assert_eq!(
        service_line(&service),
        "FWM  80 (0x50) exchange wrr  192.168.1.35,fd00::35  tcp 80 udp 1000-2000"
    );
    let server = &mut service.servers[0];
    server.addresses.push("fd00::1".parse().unwrap());
    assert_eq!(address(server), "10.0.1.1,fd00::1");
    server.port_map = "80->8080".into();
    assert_eq!(address(server), "10.0.1.1,fd00::1 port 80->8080");
}

#[test]
fn what_a_server_says_cannot_move_the_cursor() {
    let mut status = sample::status();
    status.services[0].servers[0].reason = "banner \u{1b}[2J\r\nFWM 666 \u{9b}31m".into();
    let text = Table(&status).to_string();
    assert!(text.chars().all(|char| char == '\n' || !char.is_control()), "{text:?}");
    assert!(text.contains("banner \\u{1b}[2J\\r\\nFWM 666 \\u{9b}31m"), "{text}");
}

#[test]
fn a_service_without_servers_says_so() {
    let mut status = sample::status();
    status.services[0].servers.clear();
    assert!(Table(&status).to_string().contains("2525 (tcp 2525 drained)\n  -> (no servers)\nFWM  1"));
}

#[test]
fn spares_and_sorry_servers_are_named_as_such() {
    let mut service = sample::status().services.remove(0);
    (service.servers[0].priority, service.servers[1].priority, service.servers[1].sorry) =
        (Some(7), None, true);
    assert_eq!(
        (name(&service.servers[0]), name(&service.servers[1])),
        ("exchange1 (7)".into(), "exchange2 (sorry)".into())
    );
}

#[test]
fn who_serves_is_told_where_it_is_not_as_usual() {
    let mut service = sample::status().services.remove(0);
    assert_eq!(serving(&service), "");
    service.serving_priority = Some(2);
    assert_eq!(serving(&service), " priority 2 serves");
    (service.serving, service.serving_priority) = (ServingStatus::Sorry, None);
    service.quorum = QuorumStatus { weight: 100, hysteresis: 0, present: 40, held: false };
    assert_eq!(serving(&service), " sorry serves quorum 40/100 lost");
    service.serving = ServingStatus::Nobody;
    (service.quorum.present, service.quorum.held) = (100, true);
    assert_eq!(serving(&service), " nobody serves quorum 100/100");
}

#[test]
fn what_limits_and_protects_a_service_is_told() {
    let mut service = sample::status().services.remove(0);
    assert_eq!(protection(&service), " limit 10/second burst 20 refused 3 syn-protection");
    service.rate_limit.as_mut().unwrap().refused = 0;
    service.syn_protection = Some(SynProtectionStatus::Unsupported);
    service.full_nat = true;
    assert_eq!(protection(&service), " limit 10/second burst 20 syn-protection (unsupported) full-nat");
    (service.rate_limit, service.syn_protection, service.full_nat) = (None, None, false);
    assert_eq!(protection(&service), "");
}
