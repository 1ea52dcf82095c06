//! "Did you mean": the known word closest to an unknown one.

/// The candidate that `word` is most likely a misspelling of, if one is close enough.
#[must_use]
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    const CLOSE_ENOUGH: f64 = 0.8;
    if word.len() > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= CLOSE_ENOUGH)
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
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
        assert_eq!(closest("colour", known), None);
        assert_eq!(closest(&"weight".repeat(1000), known), None);
    }
}
