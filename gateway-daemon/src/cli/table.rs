//! Aligned columns without borders.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use super::screen::Style;

/// One column's heading and side.
#[derive(Clone, Copy)]
pub enum Column {
    /// Text.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

/// How a cell strikes the eye.
#[derive(Clone, Copy)]
pub enum Tone {
    /// As it should be.
    Good,
    /// On its way, or worth a look.
    Fair,
    /// Needs somebody.
    Bad,
    /// Of less interest.
    Dim,
}

/// A cell with a tone.
pub fn toned(text: impl ToString, tone: Tone) -> Cell {
    let cell = Cell::new(text);
    match tone {
        Tone::Good => cell.fg(Color::Green),
        Tone::Fair => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Dim => cell.add_attribute(Attribute::Dim),
    }
}

/// The rows as lines, each ended by a newline, the heading first. With a width, the last column wraps to it if `wrap`.
pub fn render(style: Style, columns: &[Column], rows: Vec<Vec<Cell>>, wrap: bool) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if style.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_content_arrangement(ContentArrangement::Disabled);
    if let (true, Some(width)) = (wrap, style.width) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.set_header(columns.iter().map(|column| {
        let (Column::Left(heading) | Column::Right(heading)) = column;
        Cell::new(heading).add_attribute(Attribute::Bold)
    }));
    table.add_rows(rows);
    let last = columns.len().saturating_sub(1);
    for ((n, column), side) in table.column_iter_mut().enumerate().zip(columns) {
        column.set_padding((0, if n == last { 0 } else { 2 }));
        if let Column::Right(_) = side {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if wrap && n != last {
            column.set_constraint(comfy_table::ColumnConstraint::ContentWidth);
        }
    }
    table.trim_fmt() + "\n"
}

/// Text with a tone, outside of a table.
pub fn tinted(style: Style, text: &str, tone: Tone) -> String {
    let code = match tone {
        Tone::Good => "1;32",
        Tone::Fair => "1;33",
        Tone::Bad => "1;31",
        Tone::Dim => "2",
    };
    if style.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Text in bold, where the style has it.
pub fn bold(style: Style, text: &str) -> String {
    if style.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}
