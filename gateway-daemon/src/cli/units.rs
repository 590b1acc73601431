//! Numbers for people.

/// Seconds as at most two units: `42s`, `5m3s`, `2h4m`, `3d4h`.
pub fn duration(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let first = UNITS.iter().position(|(size, _)| seconds >= *size).unwrap_or(UNITS.len() - 1);
    let (size, unit) = UNITS[first];
    let mut text = format!("{}{unit}", seconds / size);
    if let Some((smaller, unit)) = UNITS.get(first + 1) {
        let rest = seconds % size / smaller;
        if rest > 0 {
            text.push_str(&format!("{rest}{unit}"));
        }
    }
    text
}

/// A count in steps of 1000, at most four digits: `999`, `1.2K`, `35M`.
pub fn short(count: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(1_000, "K"), (1_000_000, "M"), (1_000_000_000, "G"), (1_000_000_000_000, "T"), (1_000_000_000_000_000, "P")];
    let Some((size, unit)) = UNITS.iter().rev().find(|(size, _)| count >= *size) else { return count.to_string() };
    let (whole, tenth) = (count / size, count % size / (size / 10));
    if whole < 10 { format!("{whole}.{tenth}{unit}") } else { format!("{whole}{unit}") }
}

/// A count in full, with the thousands apart: `1,234,567`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 flow`, `1,204 flows`.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        let cases = [(0, "0s"), (59, "59s"), (60, "1m"), (303, "5m3s"), (7_440, "2h4m"), (3_603, "1h"), (273_600, "3d4h")];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn short_counts_have_at_most_four_digits_and_never_round_up() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1.0K"), (1_999, "1.9K"), (14_950, "14K"), (999_999, "999K"), (4_500_000_000, "4.5G")];
        for (number, text) in cases {
            assert_eq!(short(number), text);
        }
        assert_eq!(short(u64::MAX), "18446P");
    }

    #[test]
    fn full_counts_have_their_thousands_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!((counted(1, "flow"), counted(0, "flow")), ("1 flow".to_owned(), "0 flows".to_owned()));
    }
}
