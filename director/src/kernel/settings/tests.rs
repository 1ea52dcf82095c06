use super::*;
use director_core::model::{ApiSettings, Attachment, KernelSettings, Outbound};
use lab::sandbox;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn model() -> Model {
    Model {
        nodes: BTreeMap::new(),
        gateways: vec![IpAddr::from([10, 0, 1, 254])],
        services: BTreeMap::new(),
        management: BTreeMap::new(),
        probes: BTreeMap::new(),
        outbound: Outbound::default(),
        kernel: KernelSettings {
            manage: true,
            accounting: true,
            conntrack_max: None,
            conntrack_buckets: None,
        },
        persistence_limit: Model::DEFAULT_PERSISTENCE_LIMIT,
        redundancy: None,
        api: ApiSettings { socket: Model::DEFAULT_SOCKET.into(), group: None, listen: None },
    }
}

fn node() -> Node {
    let attachment = |name: &str| Attachment { interface: name.to_owned(), addresses: Vec::new() };
    Node { name: "lb1".to_owned(), public: attachment("eth0"), private: attachment("eth1.100") }
}

fn names(model: &Model) -> Vec<String> {
    wanted(model, &node()).iter().map(|setting| format!("{}={}", setting.name(), setting.wanted)).collect()
}

#[test]
fn asks_for_what_the_model_needs_only() {
    let mut model = model();
    let always = [
        "net.ipv4.ip_forward=1",
        "net.netfilter.nf_conntrack_tcp_loose=0",
        "net.netfilter.nf_conntrack_tcp_be_liberal=1",
        "net.netfilter.nf_conntrack_acct=1",
    ];
    assert_eq!(names(&model), always);

    model.gateways = vec!["fd00::fe".parse().unwrap()];
    model.outbound.hairpin = true;
    model.kernel.accounting = false;
    model.kernel.conntrack_max = Some(1_000_000);
    model.kernel.conntrack_buckets = Some(250_000);
    assert_eq!(
        names(&model),
        [
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            "net.ipv4.conf.all.send_redirects=0",
            "net.ipv4.conf.eth1/100.send_redirects=0",
            "net.netfilter.nf_conntrack_tcp_loose=0",
            "net.netfilter.nf_conntrack_tcp_be_liberal=1",
            "net.netfilter.nf_conntrack_acct=0",
            "net.netfilter.nf_conntrack_buckets=250000",
            "net.netfilter.nf_conntrack_max=1000000",
        ]
    );
}

/// A folder in place of `/proc/sys`, every setting there with a value that nobody wants.
fn files(settings: &[Setting]) -> TempDir {
    let root = TempDir::new().unwrap();
    for setting in settings {
        let path = root.path().join(&setting.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "7\n").unwrap();
    }
    root
}

fn actual(settings: &Settings) -> Vec<Option<String>> {
    settings.status().into_iter().map(|setting| setting.actual).collect()
}

fn values(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

#[test]
fn with_a_virtual_mac_address_each_interface_answers_for_its_own_addresses() {
    let text = "version: 1\n\
        nodes: {lb1: {public: {interface: eth0, addresses: [192.168.1.33/24]}, private: {interface: eth1.100, addresses: [10.0.1.33/24]}}}\n\
        redundancy: {vrid: 51, virtual_mac: true}\n";
    let redundancy = director_core::config::load(text, "farm").unwrap().redundancy;
    let mut model = Model { redundancy, ..model() };
    let of_virtual_mac: Vec<String> =
        names(&model)[1..].iter().take_while(|it| !it.contains("netfilter")).cloned().collect();
    assert_eq!(
        of_virtual_mac,
        [
            "net.ipv4.conf.eth0.arp_announce=2",
            "net.ipv4.conf.eth0.arp_ignore=1",
            "net.ipv4.conf.eth1/100.arp_announce=2",
            "net.ipv4.conf.eth1/100.arp_ignore=1",
            "net.ipv4.conf.vrrp51-prv.arp_ignore=1",
            "net.ipv4.conf.vrrp51-prv.rp_filter=2",
            "net.ipv4.conf.vrrp51-pub.arp_ignore=1",
            "net.ipv4.conf.vrrp51-pub.rp_filter=2",
        ]
    );
    model.gateways = vec!["fd00::fe".parse().unwrap()];
    assert!(names(&model).contains(&"net.ipv6.conf.vrrp51-prv.addr_gen_mode=1".to_owned()));
}

#[test]
fn sets_what_differs_and_repairs_what_drifts() {
    let list = wanted(&model(), &node());
    let root = files(&list);
    let mut settings = Settings::under(root.path().into(), true, list.clone());
    assert_eq!(actual(&settings), values(&["7", "7", "7", "7"]));
    assert!(!settings.drifted());
    assert_eq!(settings.apply(), Applied::default());
    assert_eq!(actual(&settings), values(&["1", "0", "1", "1"]));
    assert!(!settings.drifted());
    assert_eq!(settings.apply(), Applied::default());

    fs::write(root.path().join(&list[0].path), "0\n").unwrap();
    assert!(settings.drifted());
    assert_eq!(settings.apply(), Applied { repaired: 1, errors: Vec::new() });
    assert_eq!(actual(&settings), values(&["1", "0", "1", "1"]));
    assert!(!settings.drifted());
}

#[test]
fn leaves_all_alone_when_told_so() {
    let list = wanted(&model(), &node());
    let root = files(&list);
    let mut settings = Settings::under(root.path().into(), false, list);
    assert_eq!(settings.apply(), Applied::default());
    assert_eq!(actual(&settings), values(&["7", "7", "7", "7"]));
    assert!(!settings.drifted());
    let first = &settings.status()[0];
    assert_eq!((first.name.as_str(), first.wanted.as_str()), ("net.ipv4.ip_forward", "1"));
}

#[test]
fn what_cannot_be_set_is_told_and_all_else_is_set() {
    let list = wanted(&model(), &node());
    let root = files(&list);
    fs::remove_file(root.path().join(&list[1].path)).unwrap();
    fs::remove_file(root.path().join(&list[2].path)).unwrap();
    fs::create_dir(root.path().join(&list[2].path)).unwrap();
    let mut settings = Settings::under(root.path().into(), true, list);
    let errors = settings.apply().errors;
    assert_eq!(
        errors,
        [
            "the kernel has no setting net.netfilter.nf_conntrack_tcp_loose: is its module loaded, its interface there?",
            "cannot set net.netfilter.nf_conntrack_tcp_be_liberal to 1: Is a directory (os error 21)",
        ]
    );
    assert_eq!(actual(&settings), [Some("1".to_owned()), None, None, Some("1".to_owned())]);
    assert!(!settings.drifted());
}

#[test]
fn more_buckets_than_wanted_will_do() {
    let mut model = model();
    model.kernel.conntrack_buckets = Some(1000);
    let buckets = wanted(&model, &node()).pop().unwrap();
    assert!(buckets.accepts("1000") && buckets.accepts("1024"));
    assert!(!buckets.accepts("999") && !buckets.accepts("") && !buckets.accepts("-1"));
    assert!(!Setting { accept: Accept::Exact, ..buckets }.accepts("1024"));
}

#[test]
fn works_on_the_kernel_and_takes_what_belongs_to_all_namespaces_as_it_is() {
    sandbox::test(|| {
        // Brings the conntrack module, as the director's ruleset does.
        let rule = "add table inet t; add chain inet t c; add rule inet t c ct state new";
        assert!(Command::new("nft").arg(rule).status()?.success());
        let mut model = model();
        model.kernel.conntrack_max = Some(4_000_000_000);
        model.kernel.conntrack_buckets = Some(4_000_000_000);
        model.gateways.push("fd00::fe".parse()?);
        let mut settings = Settings::new(&model, &node());
        assert_eq!(settings.apply(), Applied::default());
        for setting in settings.status() {
            let shared = setting.wanted.contains("4000000000");
            let expected = (!shared).then_some(setting.wanted);
            assert!(setting.actual.is_some());
            assert!(shared || setting.actual == expected, "{}", setting.name);
        }
        let forward = Path::new("/proc/sys/net/ipv4/ip_forward");
        fs::write(forward, "0")?;
        assert!(settings.drifted());
        assert_eq!(settings.apply(), Applied { repaired: 1, errors: Vec::new() });
        assert_eq!(fs::read_to_string(forward)?, "1\n");
        Ok(())
    });
}
