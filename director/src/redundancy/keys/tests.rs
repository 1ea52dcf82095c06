use super::*;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use proptest::prelude::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::symlink;

const OLD: &str = "Hn3pV0cKd8wM5rTqZs7bJx2yLg9uEoA4fXiRkQvBzN6=";
const NEW: &str = "4u7Zr1m0xB3sQ9eYk2tN8vWcL5oHjD6aGfPiRqXzUyE=";

fn ring(text: &str) -> String {
    parse(text.as_bytes())
        .map_or_else(|(line, fault)| format!("{line:?} {fault}"), |ring| format!("{ring:?}"))
}

fn keys(signing: u8, also: Option<u8>) -> String {
    let key = |id| Key::new(id, &[0; 32]).unwrap();
    format!("{:?}", Keyring::new(key(signing), also.map(key)).unwrap())
}

#[test]
fn takes_one_or_two_keys_of_which_the_first_signs() {
    assert_eq!(ring(OLD), keys(1, None));
    assert_eq!(ring(&format!("7 {OLD}\n")), keys(7, None));
    assert_eq!(ring(&format!("2 {NEW}\n1 {OLD}")), keys(2, Some(1)));
    assert_eq!(ring(&format!("{OLD}\n2 {NEW}")), keys(1, Some(2)));
    assert_eq!(
        ring(&format!("\u{feff}# ours\r\n\r\n  255\t{NEW}  \r\n # before\r\n1 {OLD}\r\n")),
        keys(255, Some(1))
    );
    assert_eq!(ring("1 0123456789012345"), keys(1, None));
    assert_eq!(ring("0123456789012345"), keys(1, None));
}

#[test]
fn says_where_what_is_wrong() {
    let cases = [
        ("", None, "there is no key in it"),
        ("# nothing\n\n", None, "there is no key in it"),
        ("1 short\n", Some(1), "a key has at least 16 bytes, this one has 5"),
        ("1 \n", Some(1), "a number without a secret"),
        ("\n0 0123456789012345", Some(2), "a number from 1 to 255"),
        ("256 0123456789012345", Some(1), "a number from 1 to 255"),
        ("one 0123456789012345", Some(1), "a number from 1 to 255"),
        ("1 0123456789012345 # new", Some(1), "comments have lines of their own"),
        ("0123456789012345\n0123456789012346", Some(2), "two keys have the number 1"),
        ("1 0123456789012345\n# and\n1 0123456789012346", Some(3), "two keys have the number 1"),
        (
            "1 0123456789012345\n2 0123456789012346\n3 0123456789012347",
            Some(3),
            "a third key: at most two are accepted",
        ),
        ("1 0123456789\u{7}012345", None, "not a text"),
    ];
    for (text, line, expected) in cases {
        let (at, fault) = parse(text.as_bytes()).unwrap_err();
        assert_eq!(at, line, "{text:?}");
        assert!(fault.to_string().contains(expected), "{text:?}: {fault}");
    }
    for (bytes, expected) in
        [(vec![0xff, 0xfe, b'1', 0], "not a text"), (vec![b'#'; LONGEST + 1], "longer than 4096 bytes")]
    {
        assert!(parse(&bytes).unwrap_err().1.to_string().contains(expected));
    }
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let refused = |path: &Path| load(path).unwrap_err().to_string();
    assert!(
        refused(&path)
            .contains("keys: there is no such file, which key_file under redundancy names: copy it")
    );
    fs::write(&path, format!("3 {NEW}\n")).unwrap();
    assert!(refused(&path.join("x")).contains("Not a directory (os error 20): it is named by key_file"));
    for (mode, good) in [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o602, false)] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(load(&path).is_ok(), good, "{mode:o}");
    }
    assert!(
        refused(&path)
            .contains("keys: any user of this machine may read or change it (mode 0602): chmod 600")
    );
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();

    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    assert_eq!(format!("{:?}", load(&link).unwrap()), keys(3, None));

    fs::write(&path, format!("3 {NEW}\n{}", "#".repeat(LONGEST))).unwrap();
    assert!(refused(&path).contains("keys: longer than 4096 bytes"), "not cut off");
    fs::write(&path, "3 short").unwrap();
    assert!(refused(&path).ends_with(
        "keys:1: a key has at least 16 bytes, this one has 5: make one with 'openssl rand -base64 32'"
    ));
}

#[test]
fn what_is_no_file_is_refused_without_waiting_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRUSR).unwrap();
    for path in [folder.path(), &pipe, Path::new("/dev/null")] {
        assert!(matches!(load(path).unwrap_err().fault, Fault::NotRegular), "{}", path.display());
    }
}

proptest! {
    /// Whatever is in it: no panic, and no word of it in an error.
    #[test]
    fn errors_keep_secrets(lines in proptest::collection::vec("(([0-9]{1,3} )?[Q-Zq-z]{4,24}|#|\u{0})( [Q-Z]{4,8})?", 0..5)) {
        let text = lines.join("\n");
        if let Err((line, fault)) = parse(text.as_bytes()) {
            let said = format!("{line:?} {fault} {fault:?}");
            let words = text.split_whitespace().filter(|word| word.len() >= 4);
            for word in words {
                prop_assert!(!said.contains(word), "{said}");
            }
        }
    }

    #[test]
    fn any_bytes_are_keys_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(parse(&bytes));
    }
}
