//! Network namespaces for tests that ask nft.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Runs a shell script in a network namespace of its own, fed with `input`: whether it succeeded, and all it
/// printed. Without root or nft the test fails; with `ALLOW_SKIP=1` it is passed over, told by `None`.
pub(crate) fn run(script: &str, input: &str) -> Option<(bool, String)> {
    let usable = Command::new("unshare").args(["-n", "nft", "list", "ruleset"]).output();
    if !usable.is_ok_and(|output| output.status.success()) {
        skip();
        return None;
    }
    let mut child = Command::new("unshare")
        .args(["-n", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    Some((output.status.success(), text))
}

/// Fails the test for want of a namespace, or says that it is passed over.
pub(crate) fn skip() {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    assert!(
        std::env::var("ALLOW_SKIP").is_ok_and(|value| value == "1"),
        "{name} did not run: it needs root, unshare and nft\n  hint: ALLOW_SKIP=1 lets such tests pass"
    );
    // Straight to the stream: the harness keeps what a passing test prints.
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: it needs root, unshare and nft");
}
