use super::*;
use crate::config::report::Diagnostics;

fn parse(text: &str) -> (Option<Node<'_>>, Vec<String>) {
    let mut errors = Diagnostics::default();
    let node = read(text, &mut errors);
    let report = errors.into_report(text, "f");
    (node, report.errors.iter().map(|e| format!("{}:{}: {}", e.line, e.column, e.message)).collect())
}

fn error(text: &str) -> String {
    let (node, mut errors) = parse(text);
    assert!(node.is_none());
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

#[test]
fn values_know_their_places() {
    let (node, errors) = parse("a: [1, \"b\"]\nc:\n  d: x y # comment\n");
    assert!(errors.is_empty());
    let Content::Mapping(entries) = node.unwrap().content else { panic!("a mapping") };
    let Content::List(items) = &entries[0].1.content else { panic!("a list") };
    assert_eq!(items[1].span, Span { line: 1, column: 8, end_line: 1, end_column: 11 });
    assert_eq!(entries[0].1.span, Span { line: 1, column: 4, end_line: 1, end_column: 12 });
    assert_eq!(entries[1].1.key, Span { line: 2, column: 1, end_line: 2, end_column: 2 });
    let Content::Mapping(inner) = &entries[1].1.content else { panic!("a mapping") };
    assert_eq!(inner[0].1.span, Span { line: 3, column: 6, end_line: 3, end_column: 9 });
}

#[test]
fn an_alias_repeats_what_its_anchor_names() {
    let (node, errors) = parse("a: &x {b: 1}\nc: *x\n");
    assert!(errors.is_empty());
    let Content::Mapping(entries) = node.unwrap().content else { panic!("a mapping") };
    assert!(matches!(&entries[1].1.content, Content::Mapping(inner) if inner[0].0.text == "b"));
}

#[test]
fn aliases_cannot_blow_a_file_up() {
    let mut text = String::from("a0: &a0 [x]\n");
    for level in 1..30 {
        let previous = format!("*a{}, ", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
    }
    assert!(error(&text).ends_with("the file has more than 2000000 values"));
}

#[test]
fn nesting_is_limited() {
    assert_eq!(error(&"- ".repeat(1000)), "1:67: nested more than 32 deep");
    assert_eq!(error(&"[".repeat(100_000)), "1:256: not valid YAML: recursion limit exceeded");
}

#[test]
fn a_nul_does_not_hide_the_rest() {
    assert_eq!(error("a: 1\nb: \0\nc: 2\n"), "2:4: a control character");
}

#[test]
fn one_document_only() {
    assert_eq!(error("a: 1\n---\nb: 2\n"), "2:1: a second document begins here");
}

#[test]
fn duplicate_keys_and_tags_are_errors_but_reading_goes_on() {
    let (node, errors) = parse("a: 1\nb: !!str 2\na: 3\n");
    assert!(node.is_some());
    assert_eq!(errors, ["2:4: tags have no meaning here", "3:1: the key \"a\" is already there, in line 1"]);
}
