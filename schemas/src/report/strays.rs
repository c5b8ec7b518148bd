//! Rows that are no data: totals, notes and signatures below a table, its labels again, the numbers of its columns.
//!
//! Only rows with errors are looked at, so that nothing is said of data that merely begins with such a word.

use super::{Text, near};

/// What a row seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stray {
    /// Sums or means of the rows above.
    Total,
    /// A source, a remark, a place and date, a signature.
    Note,
    /// The labels once more.
    Labels,
    /// (1) (2) (3).
    Numbers,
}

const TOTALS: [&str; 8] =
    ["total", "jumlah", "grand total", "sub total", "subtotal", "sub jumlah", "rata rata", "jumlah total"];
const NOTES: [&str; 10] =
    ["sumber", "catatan", "keterangan", "ket", "mengetahui", "kepala dinas", "kepala", "source", "note", "dicetak"];
/// Cells from the first filled one on among which the word is looked for: a number may stand before it.
const LOOKED_AT: usize = 3;
/// Characters of a cell in which the word is looked for.
const WORD: usize = 40;
/// Columns that a table has before one filled cell in a row says anything.
const WIDE: usize = 4;

impl Stray {
    /// What a wrong row with these cells seems to be. `lacking` says that a cell that has to be filled is empty, or that the
    /// first filled one is wrong.
    pub(crate) fn of(cells: &[&str], labels: &[String], lacking: bool) -> Option<Self> {
        let filled: Vec<&str> = cells.iter().map(|cell| cell.trim()).filter(|cell| !cell.is_empty()).collect();
        if numbers(&filled, cells.len()) {
            return Some(Self::Numbers);
        }
        if repeats(cells, labels) {
            return Some(Self::Labels);
        }
        if !lacking {
            return None;
        }
        let word =
            filled.iter().take(LOOKED_AT).find(|cell| cell.starts_with('*') || cell.contains(char::is_alphabetic))?;
        let start = near::folded(&word.chars().take(WORD).collect::<String>());
        let begins =
            |known: &&str| start.strip_prefix(*known).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
        if TOTALS.iter().any(begins) {
            Some(Self::Total)
        } else if filled.len() <= 2 && (word.starts_with('*') || NOTES.iter().any(begins)) {
            Some(Self::Note)
        } else {
            let alone = filled.len() == 1 && cells.len() >= WIDE && word.contains(' ');
            alone.then_some(Self::Note)
        }
    }

    /// The sentence about such a row.
    pub(crate) fn words(self, row: u64) -> Text {
        let (id, en) = match self {
            Self::Total => ("baris jumlah", "a row of totals"),
            Self::Note => ("catatan atau tanda tangan", "a note or a signature"),
            Self::Labels => ("judul kolom yang terulang", "the labels once more"),
            Self::Numbers => ("penomoran kolom", "the numbers of the columns"),
        };
        Text::new(
            format!("Baris {row} tampaknya {id}, bukan data: hapus baris itu."),
            format!("Row {row} seems to be {en}, not data: delete it."),
        )
    }
}

/// Whether the cells are the labels again. Rows that are not, of which there may be millions, cost little.
fn repeats(cells: &[&str], labels: &[String]) -> bool {
    let same =
        |(cell, label): &(&&str, &String)| !cell.trim().is_empty() && cell.trim().eq_ignore_ascii_case(label.trim());
    cells.iter().zip(labels).filter(same).count() >= labels.len().div_ceil(2).max(2)
}

/// Whether the cells count the columns: `(1)`, `2`, `[3]` and so on.
fn numbers(filled: &[&str], width: usize) -> bool {
    let number = |cell: &str| cell.trim_matches(['(', ')', '[', ']', ' ']).parse::<usize>().ok();
    let first = filled.first().and_then(|cell| number(cell)).filter(|first| *first <= 1);
    first.is_some_and(|first| {
        filled.len() >= WIDE
            && filled.len() + 1 >= width
            && filled.iter().enumerate().all(|(index, cell)| number(cell) == Some(first + index))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_hardly_data_is_taken_for_something_else() {
        let labels = ["No", "Kode", "Nama", "Jumlah"].map(str::to_owned);
        let of = |cells: [&str; 4]| Stray::of(&cells, &labels, true);
        assert_eq!(of(["", "", "Jumlah", "1.204"]), Some(Stray::Total));
        assert_eq!(of(["9", "GRAND TOTAL", "", "1.204"]), Some(Stray::Total));
        assert_eq!(of(["Sumber: Dukcapil", "", "", ""]), Some(Stray::Note));
        assert_eq!(of(["*) Angka sementara", "", "", ""]), Some(Stray::Note));
        assert_eq!(of(["Tenggarong, 2 Januari 2025", "", "", ""]), Some(Stray::Note));
        assert_eq!(of(["NO", "KODE", "NAMA", "JUMLAH"]), Some(Stray::Labels));
        assert_eq!(of(["(1)", "(2)", "(3)", "(4)"]), Some(Stray::Numbers));
        for data in [
            ["1", "64.02", "Totalindo", "x"],
            ["1", "64.02", "Kepala Burung", "x"],
            ["1", "64.02", "Sumber Sari", "x"],
            ["1", "2", "4", "8"],
            ["", "", "Saliki", ""],
        ] {
            assert_eq!(of(data), None, "{data:?}");
        }
        assert_eq!(Stray::of(&["1", "64.02", "Jumlah", "4"], &labels, false), None);
    }

    proptest::proptest! {
        #[test]
        fn no_cells_stop_the_search(cells in proptest::collection::vec("\\PC{0,6}|[(0-9)]{0,3}", 0..6)) {
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            let _ = Stray::of(&cells, &[], true);
        }
    }
}
