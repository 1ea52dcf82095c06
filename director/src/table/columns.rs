//! Columns as wide as their widest cell.

/// Where a cell stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Widths and alignments of `N` columns.
#[derive(Debug)]
pub(crate) struct Columns<const N: usize> {
    alignment: [Align; N],
    widths: [usize; N],
}

impl<const N: usize> Columns<N> {
    /// Columns that fit all `rows`.
    pub(crate) fn new(alignment: [Align; N], rows: impl Iterator<Item = [String; N]>) -> Self {
        let widths = rows.fold([0; N], |mut widths, row| {
            for (width, cell) in widths.iter_mut().zip(&row) {
                *width = (*width).max(cell.chars().count());
            }
            widths
        });
        Self { alignment, widths }
    }

    /// Columns of words.
    pub(crate) fn left(rows: impl Iterator<Item = [String; N]>) -> Self {
        Self::new([Align::Left; N], rows)
    }

    /// One row, two spaces between columns, none at the end.
    pub(crate) fn line(&self, row: &[String; N]) -> String {
        let cells = row.iter().zip(&self.widths).zip(&self.alignment);
        let cells = cells.map(|((cell, &width), alignment)| match alignment {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}
