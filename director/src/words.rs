//! Long lists in few words.

/// So many are shown.
const SHOWN: usize = 8;

/// The first few of `items`, and how many more there are.
pub(crate) fn some_of(items: &[String]) -> String {
    match items.split_at_checked(SHOWN) {
        Some((shown, rest)) if !rest.is_empty() => format!("{}; and {} more", shown.join("; "), rest.len()),
        _ => items.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_short() {
        let items: Vec<String> = (1..=10).map(|it| it.to_string()).collect();
        assert_eq!(some_of(&[]), "");
        assert_eq!(some_of(&items[..8]), "1; 2; 3; 4; 5; 6; 7; 8");
        assert_eq!(some_of(&items), "1; 2; 3; 4; 5; 6; 7; 8; and 2 more");
    }
}
