//! What a plain scalar is: nothing, true or false, a number, or text.

use super::Content;
use std::borrow::Cow;

/// Resolves a scalar that stands without quotes.
pub(super) fn resolve(text: Cow<'_, str>) -> Content<'_> {
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        other if is_number(other) => Content::Number(text),
        _ => Content::Text(text),
    }
}

fn is_number(text: &str) -> bool {
    let digits = |digits: &str, radix| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, 8);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
        // The characters are checked because Rust also takes "inf" and the like.
        || text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) && text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_what_the_core_schema_says() {
        for number in ["0", "80", "-1", "+1", "0x50", "0o17", "1.5", ".5", "1e3", "-.inf", ".nan", "080"] {
            assert!(matches!(resolve(number.into()), Content::Number(_)), "{number}");
        }
        for text in
            ["10.0.1.1", "fd00::1", "10m", "inf", "nan", "0x", "0xg", "-", "1-2", "yes", "off", "e", ".", "+"]
        {
            assert!(matches!(resolve(text.into()), Content::Text(_)), "{text}");
        }
        assert!(matches!(resolve("".into()), Content::Null));
        assert!(matches!(resolve("True".into()), Content::Bool(true)));
    }
}
