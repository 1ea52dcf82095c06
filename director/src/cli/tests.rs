use super::*;
use crate::connections::{State, StateFilter};
use clap::CommandFactory;
use clap::error::ErrorKind;
use connections::Action;
use std::num::NonZeroUsize;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("director").chain(line.split(' ').filter(|word| !word.is_empty())))
}

#[test]
fn the_definition_holds() {
    Cli::command().debug_assert();
}

#[test]
fn run_has_defaults_for_everything() {
    let Command::Run { node, state, flush_on_exit } = parse("run").unwrap().command else {
        panic!("not run")
    };
    let options = run_options(node, state, flush_on_exit);
    assert_eq!(
        options,
        RunOptions {
            config: "/etc/director/director.yaml".into(),
            node: None,
            state_dir: "/var/lib/director".into(),
            flush_on_exit: false,
        }
    );
    let cli =
        parse("run --config a.yaml --node lb1 --state-dir /s --flush-on-exit --log-format json").unwrap();
    let Command::Run { node, state, flush_on_exit } = cli.command else { panic!("not run") };
    assert_eq!(cli.log_format, LogFormat::Json);
    assert_eq!(
        run_options(node, state, flush_on_exit),
        RunOptions {
            config: "a.yaml".into(),
            node: Some("lb1".into()),
            state_dir: "/s".into(),
            flush_on_exit: true
        }
    );
}

/// Everything, or what exchange1 has in TIME_WAIT.
fn kill(all: bool) -> Command {
    let filter = FilterArgs {
        server: (!all).then(|| "exchange1".to_owned()),
        state: (!all).then_some(StateFilter::Is(State::TimeWait)),
        ..FilterArgs::default()
    };
    let action = Some(Action::Kill(KillArgs { filter, all }));
    Command::Connections(ConnectionsArgs { filter: FilterArgs::default(), limit: None, action })
}

#[test]
fn every_command_is_understood() {
    let node = NodeArgs { config: "/etc/director/director.yaml".into(), node: None };
    let state = StateArgs { state_dir: "/var/lib/director".into() };
    let server = ServerArgs { service: "exchange".into(), server: "exchange1".into() };
    for (line, command) in [
        (
            "check a.yaml b.yaml",
            Command::Check {
                files: vec!["a.yaml".into(), "b.yaml".into()],
                probe: false,
                node: None,
                verbose: false,
            },
        ),
        (
            "check --probe --node lb1 --verbose a.yaml",
            Command::Check {
                files: vec!["a.yaml".into()],
                probe: true,
                node: Some("lb1".into()),
                verbose: true,
            },
        ),
        (
            "probe exchange exchange1",
            Command::Probe(ProbeArgs { server: server.clone(), probe: None, config: None, node: None }),
        ),
        (
            "probe exchange exchange1 --probe rdp --config a.yaml --node lb1",
            Command::Probe(ProbeArgs {
                server: server.clone(),
                probe: Some("rdp".into()),
                config: Some("a.yaml".into()),
                node: Some("lb1".into()),
            }),
        ),
        ("failover", Command::Failover(FailoverArgs::default())),
        (
            "failover --to lb2 --force --no-wait",
            Command::Failover(FailoverArgs { to: Some("lb2".into()), force: true, no_wait: true }),
        ),
        ("events", Command::Events(EventsArgs::default())),
        (
            "events --last 10 --follow",
            Command::Events(EventsArgs { last: NonZeroUsize::new(10), follow: true }),
        ),
        ("schema", Command::Schema),
        ("render", Command::Render { node: node.clone() }),
        ("plan", Command::Plan { node, state: state.clone() }),
        ("status", Command::Status { rates: false }),
        ("status --rates", Command::Status { rates: true }),
        ("probes", Command::Probes(ProbesArgs::default())),
        ("probes exchange", Command::Probes(ProbesArgs { service: Some("exchange".into()), server: None })),
        (
            "probes exchange exchange1",
            Command::Probes(ProbesArgs {
                service: Some("exchange".into()),
                server: Some("exchange1".into()),
            }),
        ),
        ("weight exchange exchange1 0", Command::Weight { server: server.clone(), weight: 0, lasting: None }),
        (
            "weight exchange exchange1 65535",
            Command::Weight { server: server.clone(), weight: 65535, lasting: None },
        ),
        ("drain exchange exchange1", Command::Drain { server: server.clone(), drain: DrainArgs::default() }),
        (
            "weight exchange exchange1 5 --for 30m",
            Command::Weight { server: server.clone(), weight: 5, lasting: Some(1800) },
        ),
        (
            "drain exchange exchange1 --deadline 10m --cut --returning stay --wait",
            Command::Drain {
                server: server.clone(),
                drain: DrainArgs {
                    deadline: Some(600),
                    cut: true,
                    returning: Some(ReturningClients::Stay),
                    wait: true,
                },
            },
        ),
        (
            "connections",
            Command::Connections(ConnectionsArgs {
                filter: FilterArgs::default(),
                limit: None,
                action: None,
            }),
        ),
        (
            "connections --service exchange --client 198.51.100.7 --limit 5",
            Command::Connections(ConnectionsArgs {
                filter: FilterArgs {
                    service: Some("exchange".into()),
                    client: Some("198.51.100.7/32".parse().unwrap()),
                    ..FilterArgs::default()
                },
                limit: NonZeroUsize::new(5),
                action: None,
            }),
        ),
        ("connections kill --server exchange1 --state time_wait", kill(false)),
        ("connections kill --all", kill(true)),
        ("enable exchange exchange1", Command::Enable { server: server.clone() }),
        ("reset exchange exchange1", Command::Reset { server }),
        (
            "port disable exchange tcp/80",
            Command::Port(PortCommand::Disable(PortArgs {
                service: "exchange".into(),
                ports: "tcp/80".parse().unwrap(),
            })),
        ),
        (
            "port reset exchange 1000-1010",
            Command::Port(PortCommand::Reset(PortArgs {
                service: "exchange".into(),
                ports: "1000-1010".parse().unwrap(),
            })),
        ),
        ("reload", Command::Reload),
        ("flush", Command::Flush { state }),
    ] {
        assert_eq!(parse(line).unwrap().command, command, "{line}");
    }
}

#[test]
fn global_options_stand_anywhere() {
    for line in ["--output json --socket /s status", "status --output json --socket /s"] {
        let cli = parse(line).unwrap();
        assert_eq!((cli.output, cli.socket), (Output::Json, "/s".into()), "{line}");
    }
}

#[test]
fn wrong_usage_is_told_apart() {
    use ErrorKind::*;
    for (line, kind) in [
        ("", DisplayHelpOnMissingArgumentOrSubcommand),
        ("start", InvalidSubcommand),
        ("check", MissingRequiredArgument),
        ("weight exchange exchange1", MissingRequiredArgument),
        ("weight exchange exchange1 65536", ValueValidation),
        ("weight exchange exchange1 -1", UnknownArgument),
        ("weight exchange exchange1 one", ValueValidation),
        ("drain exchange", MissingRequiredArgument),
        ("drain exchange exchange1 --cut", MissingRequiredArgument),
        ("drain exchange exchange1 --deadline soon", ValueValidation),
        ("drain exchange exchange1 --deadline 1500ms", ValueValidation),
        ("drain exchange exchange1 --deadline 366days", ValueValidation),
        ("drain exchange exchange1 --returning away", ValueValidation),
        ("weight exchange exchange1 5 --for 0s", ValueValidation),
        ("drain exchange exchange1 exchange2", UnknownArgument),
        ("port exchange 80", InvalidSubcommand),
        ("port drain exchange", MissingRequiredArgument),
        ("port drain exchange 0", ValueValidation),
        ("port drain exchange sctp/80", ValueValidation),
        ("status --output yaml", InvalidValue),
        ("run --node=", InvalidValue),
        ("reload --force", UnknownArgument),
        ("connections --service=", InvalidValue),
        ("connections --client 198.51.100", ValueValidation),
        ("connections --state ESTABLISHED", ValueValidation),
        ("connections --limit 0", ValueValidation),
        ("connections --all", UnknownArgument),
        ("connections kill", MissingRequiredArgument),
        ("connections kill --all --service exchange", ArgumentConflict),
        ("connections kill --server exchange1 --limit 1", UnknownArgument),
        ("connections --server exchange1 kill --all", ArgumentConflict),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (kind, 2), "{line}");
    }
    assert_eq!(parse("--version").unwrap_err().exit_code(), 0);
    assert_eq!(parse("weight --help").unwrap_err().exit_code(), 0);
}

#[test]
fn every_command_is_documented() {
    let reference = include_str!("../../../docs/cli.md");
    for command in Cli::command().get_subcommands() {
        assert!(reference.contains(&format!("`director {}", command.get_name())), "{}", command.get_name());
    }
}
