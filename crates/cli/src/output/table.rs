//! Tables without lines: a heading row, columns two blanks apart, as wide as what is in them.

use super::plain;
use comfy_table::{ContentArrangement, Table, presets};

/// The rows under the headings. Never wrapped: programs that cut columns should use JSON, people have wide terminals.
pub(crate) fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| plain(cell).into_owned()));
    }
    let columns = table.column_count();
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index + 1 == columns { 0 } else { 2 }));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        let text = table(&["ID", "NAME"], [vec!["a".into(), "one".into()], vec!["bbb".into(), "two".into()]]);
        assert_eq!(text, "ID   NAME\na    one\nbbb  two");
    }
}
