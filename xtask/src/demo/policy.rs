//! The demo's policy: the users' own, with the datapath's mode set.

use anyhow::{Result, ensure};

use super::Mode;

/// `text` with `[datapath] mode` set to `mode`. All else stays as it was written.
///
/// # Errors
/// When the policy sets the mode itself, in a way this small editor does not understand.
pub fn with_mode(text: &str, mode: Mode) -> Result<String> {
    let wanted = format!("mode = \"{mode}\"");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    ensure!(
        !lines.iter().any(|line| line.trim_start().starts_with("datapath")),
        "the policy writes `datapath` as an inline table; write [datapath]"
    );
    match lines.iter().position(|line| line.trim() == "[datapath]") {
        None => lines.extend([String::new(), "[datapath]".into(), wanted]),
        Some(header) => {
            let end = lines[header + 1..]
                .iter()
                .position(|line| line.trim_start().starts_with('['))
                .map_or(lines.len(), |offset| header + 1 + offset);
            let present = lines[header..end].iter().position(|line| line.split('=').next().is_some_and(|key| key.trim() == "mode"));
            match present {
                Some(offset) => lines[header + offset] = wanted,
                None => lines.insert(header + 1, wanted),
            }
        }
    }
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_without_datapath_gets_one_at_its_end() {
        assert_eq!(with_mode("version = 1\n", Mode::Xdp).unwrap(), "version = 1\n\n[datapath]\nmode = \"xdp\"\n");
    }

    #[test]
    fn a_mode_is_replaced_and_a_missing_one_added() {
        let text = "version = 1\n[datapath]\nflows = 9\nmode = \"auto\"\n[zones]\nmode = 1\n";
        assert_eq!(with_mode(text, Mode::Tc).unwrap(), "version = 1\n[datapath]\nflows = 9\nmode = \"tc\"\n[zones]\nmode = 1\n");
        assert_eq!(with_mode("[datapath]\nflows = 9\n[zones]\n", Mode::Tc).unwrap(), "[datapath]\nmode = \"tc\"\nflows = 9\n[zones]\n");
    }

    #[test]
    fn an_inline_table_is_refused() {
        with_mode("datapath.mode = \"tc\"\n", Mode::Tc).unwrap_err();
    }
}
