//! "Did you mean": the known word closest to an unknown one.

/// The candidate that `word` is most likely a misspelling of, if one is close enough.
#[must_use]
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    let allowed = (word.len() / 3).max(1).min(word.len().saturating_sub(1));
    if word.len() > LONGEST || allowed == 0 {
        return None;
    }
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= allowed)
        .map(|candidate| (strsim::osa_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_word_that_was_meant() {
        let known = ["weight", "port", "ports", "persistence"];
        assert_eq!(closest("wieght", known), Some("weight"));
        assert_eq!(closest("persistance", known), Some("persistence"));
        assert_eq!(closest("PORT", known), Some("port"));
        assert_eq!(closest("rpd", ["tcp", "rdp"]), Some("rdp"));
        assert_eq!(closest("colour", known), None);
        assert_eq!(closest("a", ["b"]), None);
        assert_eq!(closest("", ["b"]), None);
        assert_eq!(closest(&"weight".repeat(1000), known), None);
    }
}
