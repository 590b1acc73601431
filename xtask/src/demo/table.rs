//! The closing table.

use super::probes::Row;

/// The columns' heads, in the order of [`cells`].
const HEADS: [&str; 5] = ["", "sent", "what came of it", "translation", "rule"];

/// The rows as an aligned text, one line each.
pub fn render(rows: &[Row]) -> String {
    let lines: Vec<[String; 5]> = std::iter::once(HEADS.map(str::to_owned)).chain(rows.iter().map(cells)).collect();
    let widths: [usize; 5] = std::array::from_fn(|column| lines.iter().map(|line| width(&line[column])).max().unwrap_or(0));
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let padded: Vec<String> = line.iter().zip(widths).map(|(cell, wide)| format!("{cell}{}", " ".repeat(wide - width(cell)))).collect();
        text += format!("  {}", padded.join("  ")).trim_end();
        text.push('\n');
        if number == 0 {
            text += &format!("  {}\n", widths.map(|wide| "-".repeat(wide)).join("  "));
        }
    }
    text
}

fn cells(row: &Row) -> [String; 5] {
    let mark = if row.ok { "ok" } else { "FAILED" };
    // A long error would tear the table; its first line tells what it is, and the progress lines have it whole.
    let outcome = row.outcome.lines().next().unwrap_or_default();
    [mark.into(), row.sent.clone(), outcome.into(), row.translation.clone(), row.rule.clone()]
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_an_error_stays_on_its_line() {
        let row = |sent: &str, outcome: &str, ok| Row {
            sent: sent.into(),
            outcome: outcome.into(),
            translation: "a → b".into(),
            rule: "r".into(),
            ok,
        };
        let text = render(&[row("ping", "3 of 3", true), row("a longer one", "no\nsecond line", false)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        let column = |line: &str| line.chars().position(|letter| letter == '→');
        assert_eq!(column(lines[2]), column(lines[3]));
        assert!(lines[3].contains("FAILED"));
        assert!(!text.contains("second line"));
    }
}
