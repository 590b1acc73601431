//! A thousand broken policies: `load` never panics, and every error points into the file.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use gateway_daemon::policy::{self, Diagnostic};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// How many policies are broken from the fixed seed, and again from a new one.
const POLICIES: u32 = 1_000;
/// The same policies on every machine.
const SEED: u64 = 0x6761_7465_7761_7921;

/// Between them, every key that the gateway knows.
const ORIGINALS: [&str; 3] = [
    include_str!("../../tests/policies/seed.toml"),
    include_str!("../../tests/policies/full.toml"),
    "version = 1\nzones = { lan = [\"eth0\"], wan = [\"eth1\"] }\nsets.a = [\"10.0.0.0/8\", \"@b\"]\nsets.b = [\"::/0\"]\n\
     routes = [{ to = \"::/0\", via = \"fe80::1\", interface = \"eth1\" }]\nfirewall = { default = 'drop', rules = [\n\
     { name = \"one\", from = \"lan\", action = \"accept\" }, # a comment\n\
     { name = \"two\", to = \"self\", source = [\"@a\"], action = \"drop\" }] }\n",
];

/// What a hand slips in: values that are wrong in most places, and half-written syntax.
const SLIPS: [&str; 24] = [
    "\"\"",
    "[]",
    "{}",
    "0",
    "-1",
    "99999999999999999999",
    "1.5",
    "true",
    "2026-01-01",
    "\"self\"",
    "\"@nobody\"",
    "\"10.0.0.1/8\"",
    "\"::1\"",
    "\"icmpv6\"",
    "\"70000\"",
    "\"90-80\"",
    "\"5 parsecs\"",
    "\"nftables\"",
    "[",
    "\"",
    "'''",
    "=",
    "\u{feff}",
    "[[nat.static]]\n",
];

/// One slip of the hand; each place is relative to the text at that moment.
#[derive(Clone, Debug)]
enum Mutation {
    FlipByte(Index, u8),
    DeleteLine(Index),
    RepeatLine(Index, Index),
    SwapTokens(Index, Index),
    ReplaceToken(Index, Index),
    RepeatTable(Index, Index),
    Truncate(Index),
}

impl Mutation {
    fn apply(&self, text: &str) -> String {
        match self {
            Self::FlipByte(at, mask) => {
                let mut bytes = text.as_bytes().to_vec();
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] ^= mask;
                }
                // What is not UTF-8 never reaches `load`.
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Self::DeleteLine(at) => edit_lines(text, |lines| {
                lines.remove(at.index(lines.len()));
            }),
            Self::RepeatLine(from, to) => edit_lines(text, |lines| {
                let line = lines[from.index(lines.len())];
                lines.insert(to.index(lines.len()), line);
            }),
            Self::SwapTokens(a, b) => edit_tokens(text, |tokens| {
                let (a, b) = (a.index(tokens.len()), b.index(tokens.len()));
                tokens.swap(a, b);
            }),
            Self::ReplaceToken(at, with) => edit_tokens(text, |tokens| {
                let at = at.index(tokens.len());
                tokens[at] = SLIPS[with.index(SLIPS.len())];
            }),
            Self::RepeatTable(from, to) => edit_lines(text, |lines| {
                let starts: Vec<usize> = (0..lines.len()).filter(|&i| i == 0 || lines[i].starts_with('[')).collect();
                let start = *from.get(&starts);
                let behind = starts.iter().copied().find(|&s| s > start).unwrap_or(lines.len());
                let table = lines[start..behind].to_vec();
                let to = *to.get(&starts);
                lines.splice(to..to, table);
            }),
            Self::Truncate(at) => text[..text.floor_char_boundary(at.index(text.len() + 1))].to_owned(),
        }
    }
}

fn edit_lines(text: &str, edit: impl FnOnce(&mut Vec<&str>)) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    if !lines.is_empty() {
        edit(&mut lines);
    }
    lines.concat()
}

/// Tokens are strings, words and single characters; what stands between them stays.
fn edit_tokens(text: &str, edit: impl FnOnce(&mut Vec<&str>)) -> String {
    let mut pieces: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => rest[1..].find(['"', '\n']).map_or(rest.len(), |end| end + 2),
            c if c.is_alphanumeric() => rest.find(|c: char| !c.is_alphanumeric() && c != '-').unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (piece, behind) = rest.split_at(length);
        pieces.push(piece);
        rest = behind;
    }
    let places: Vec<usize> = (0..pieces.len()).filter(|&i| !pieces[i].trim().is_empty()).collect();
    let mut tokens: Vec<&str> = places.iter().map(|&i| pieces[i]).collect();
    if !tokens.is_empty() {
        edit(&mut tokens);
    }
    for (place, token) in places.into_iter().zip(tokens) {
        pieces[place] = token;
    }
    pieces.concat()
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        1 => (at(), 1..=255u8).prop_map(|(at, mask)| Mutation::FlipByte(at, mask)),
        1 => at().prop_map(Mutation::DeleteLine),
        1 => (at(), at()).prop_map(|(from, to)| Mutation::RepeatLine(from, to)),
        1 => (at(), at()).prop_map(|(a, b)| Mutation::SwapTokens(a, b)),
        3 => (at(), at()).prop_map(|(at, with)| Mutation::ReplaceToken(at, with)),
        1 => (at(), at()).prop_map(|(from, to)| Mutation::RepeatTable(from, to)),
        1 => at().prop_map(Mutation::Truncate),
    ]
}

/// The finding stands in the file, in every form in which it is shown.
fn points_into(diagnostic: &Diagnostic, text: &str) -> Result<(), TestCaseError> {
    let lines: Vec<&str> = text.lines().collect();
    let (start, end) = (diagnostic.position(), diagnostic.end());
    // An empty file has a first line too.
    prop_assert!((1..=lines.len().max(1)).contains(&start.line), "line {start} of {}", lines.len());
    let length = lines.get(start.line - 1).map_or(0, |line| line.chars().count());
    // Behind the last character is where something is missing; a carriage return is no character of the line.
    prop_assert!((1..=length + 2).contains(&start.column), "column {start}, {length} long");
    prop_assert!(start <= end && end.line <= lines.len().max(1), "{start} to {end}");
    prop_assert!(!diagnostic.to_string().is_empty() && !diagnostic.help_text().is_empty());
    let place = format!("mutated.toml:{start}: ");
    prop_assert!(diagnostic.line().starts_with(&place), "{}", diagnostic.line());
    prop_assert!(!diagnostic.line().contains('\n'), "a log line is one line");
    Ok(())
}

/// Breaks policies from `seed`; gives the number of invalid ones and the kinds of errors that were seen.
fn break_policies(seed: u64) -> (u32, BTreeSet<String>) {
    let config = Config { cases: POLICIES, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    let mut codes = BTreeSet::new();
    let mut invalid = 0;
    let seen = std::cell::RefCell::new((&mut codes, &mut invalid));
    let strategy = (prop::sample::select(&ORIGINALS[..]), prop::collection::vec(mutation(), 1..4));
    let result = TestRunner::new(config).run(&strategy, |(original, mutations)| {
        let text = mutations.iter().fold(original.to_owned(), |text, m| m.apply(&text));
        let findings = match policy::load("mutated.toml", &text) {
            Ok(checked) => checked.warnings,
            Err(report) => {
                prop_assert!(report.errors().count() > 0, "refused without a reason");
                prop_assert!(!report.render(true, 80).is_empty());
                let json = report.to_json();
                prop_assert_eq!(json.as_array().map(Vec::len), Some(report.diagnostics().len()));
                *seen.borrow_mut().1 += 1;
                report.diagnostics().to_vec()
            }
        };
        for diagnostic in &findings {
            points_into(diagnostic, &text)?;
            seen.borrow_mut().0.insert(diagnostic.code_name());
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("seed {seed:#x}: {error}");
    }
    (invalid, codes)
}

#[test]
fn a_thousand_broken_policies() {
    let (invalid, codes) = break_policies(SEED);
    // The mutations reach beyond the parser, into every layer of validation.
    assert!(invalid > POLICIES / 2, "only {invalid} of {POLICIES} are invalid");
    for code in ["syntax", "unknown-key", "missing-key", "wrong-type", "prefix", "unknown-zone", "duplicate-rule-name"] {
        assert!(codes.contains(code), "no `{code}` among {codes:?}");
    }
}

#[test]
fn a_thousand_more_from_a_new_seed() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let seed = u64::from(now.subsec_nanos()) ^ now.as_secs().rotate_left(32);
    println!("seed {seed:#x}");
    break_policies(seed);
}
