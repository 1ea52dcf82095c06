//! Bad configuration files and the exact reports on them: `tests/config/*.txt`.
//!
//! A file holds several cases: a line `=== what is wrong`, the YAML, a line `---`, the report. With `UPDATE=1` in the
//! environment the reports are written anew; read the difference before you keep it.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that reads files")]

use director_core::config::load;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

struct Case {
    title: String,
    yaml: String,
    report: String,
}

#[test]
fn reports_are_exact() {
    let update = update_wanted();
    let mut cases = 0;
    let mut wrong = String::new();
    for path in files() {
        let text = read(&path);
        let mut renewed = String::new();
        for case in parse(&text) {
            cases += 1;
            let got = match load(&case.yaml, "director.yaml") {
                Ok(_) => panic!("{}: {:?} loads", path.display(), case.title),
                Err(report) => report.to_string(),
            };
            if got != case.report {
                writeln!(wrong, "{}: {}\n{got}", path.display(), case.title).unwrap();
            }
            write!(renewed, "=== {}\n{}---\n{got}\n", case.title, case.yaml).unwrap();
        }
        if update {
            std::fs::write(&path, renewed.trim_end().to_owned() + "\n").unwrap();
        }
    }
    assert!(cases >= 40, "only {cases} cases");
    assert!(update || wrong.is_empty(), "these reports differ from the expected ones:\n{wrong}");
}

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn parse(text: &str) -> impl Iterator<Item = Case> {
    text.split("=== ").skip(1).map(|case| {
        let (title, rest) = case.split_once('\n').unwrap();
        let (yaml, report) = rest.split_once("---\n").unwrap_or((rest, ""));
        Case { title: title.to_owned(), yaml: yaml.to_owned(), report: report.trim_end().to_owned() + "\n" }
    })
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn update_wanted() -> bool {
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}
