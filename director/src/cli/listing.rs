//! Listings that are printed as they come: a JSON array with one object a line, as it is or as rows of a table.

use super::Failure;
use super::output::{Printer, Reader};
use crate::client::{Client, Lines};

/// Makes the text of a listing.
#[derive(Debug)]
pub(super) struct Table<R> {
    /// It stands above the first row.
    heading: Option<String>,
    /// The row of an object.
    row: R,
}

impl<R: FnMut(&[u8]) -> Result<String, serde_json::Error>> Table<R> {
    /// `row` makes a row, with its end, of an object's text.
    pub(super) fn new(heading: String, row: R) -> Self {
        Self { heading: Some(heading), row }
    }

    /// The text of some lines of the listing.
    pub(super) fn of(&mut self, lines: &[u8]) -> Result<String, serde_json::Error> {
        let mut text = self.heading.take().unwrap_or_default();
        for line in lines.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b",").unwrap_or(line)) {
            if !matches!(line, b"" | b"[" | b"]" | b"[]") {
                text += &(self.row)(line)?;
            }
        }
        Ok(text)
    }
}

/// Prints a listing until it ends, or nobody reads on.
pub(super) async fn show(
    client: &Client,
    printer: Printer,
    mut lines: Lines,
    mut table: Table<impl FnMut(&[u8]) -> Result<String, serde_json::Error>>,
) -> Result<(), Failure> {
    while let Some(lines) = lines.next().await? {
        let reader = if printer.is_json() {
            printer.piece(&lines)?
        } else {
            let text = table.of(&lines).map_err(|error| client.not_an_answer(error.to_string()))?;
            printer.piece(text.as_bytes())?
        };
        if reader == Reader::Gone {
            break;
        }
    }
    Ok(())
}

/// Minutes and seconds, as ipvsadm writes them; a dash for no time.
pub(super) fn minutes(seconds: Option<u64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{:02}:{:02}", seconds / 60, seconds % 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_minutes_and_seconds() {
        let shown = [Some(0), Some(59), Some(60), Some(896), None].map(minutes);
        assert_eq!(shown, ["00:00", "00:59", "01:00", "14:56", "-"]);
    }

    #[test]
    fn the_heading_stands_above_the_first_row_if_there_is_one_or_not() {
        let table = || Table::new("heading\n".to_owned(), |object| Ok(format!("{}\n", object.len())));
        let mut listed = table();
        assert_eq!(listed.of(b"[\n{},\n{ },\n").unwrap(), "heading\n2\n3\n");
        assert_eq!(listed.of(b"{}\n]\n").unwrap(), "2\n");
        assert_eq!(table().of(b"[]\n").unwrap(), "heading\n");
    }
}
