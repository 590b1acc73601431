//! What else is in the packets' way: everybody's base chains, and what this kernel's nf_tables can do.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::NftError;

/// A chain that the kernel calls, of whatever table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseChain {
    /// The table's family as nft writes it: "ip", "inet", "netdev".
    pub family: String,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// "filter", "nat" or "route".
    pub kind: String,
    /// "forward", "prerouting", "ingress".
    pub hook: String,
    /// What happens to packets that no rule decides: "accept" or "drop".
    pub policy: String,
    /// How many rules it has itself.
    pub rules: usize,
    /// Chains that its rules go to.
    pub jumps: Vec<String>,
}

/// What is asked of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// A table with a filter chain that knows connections: the guard, and the nftables datapath.
    Filter,
    /// Address translation: the nftables datapath.
    Nat,
    /// A flow table: the nftables datapath's fast path.
    FlowTable,
}

/// All base chains of the calling thread's network namespace.
///
/// # Errors
/// There is no nft, or it does not answer.
pub fn base_chains() -> Result<Vec<BaseChain>, NftError> {
    let output = Command::new("nft").args(["-j", "list", "ruleset"]).env("LC_ALL", "C").stdin(Stdio::null()).output();
    let output = output.map_err(|source| NftError::NoNft { source })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(NftError::Refused { action: "list", table: "of everybody".to_owned(), message, rule: None });
    }
    parse(&output.stdout).map_err(|message| NftError::Answer { table: "of everybody".to_owned(), message })
}

fn parse(json: &[u8]) -> Result<Vec<BaseChain>, String> {
    let answer: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let items = answer["nftables"].as_array().ok_or("it has no list \"nftables\"")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut chains: Vec<BaseChain> = items
        .iter()
        .map(|item| &item["chain"])
        .filter(|chain| chain["hook"].is_string())
        .map(|chain| BaseChain {
            family: text(&chain["family"]),
            table: text(&chain["table"]),
            chain: text(&chain["name"]),
            kind: text(&chain["type"]),
            hook: text(&chain["hook"]),
            policy: text(&chain["policy"]),
            rules: 0,
            jumps: Vec::new(),
        })
        .collect();
    for rule in items.iter().map(|item| &item["rule"]).filter(|rule| rule.is_object()) {
        let (family, table, name) = (text(&rule["family"]), text(&rule["table"]), text(&rule["chain"]));
        let Some(chain) = chains.iter_mut().find(|chain| chain.family == family && chain.table == table && chain.chain == name) else {
            continue;
        };
        chain.rules += 1;
        let statements = rule["expr"].as_array().into_iter().flatten();
        chain.jumps.extend(statements.filter_map(|statement| {
            let target = statement["jump"]["target"].as_str().or(statement["goto"]["target"].as_str());
            target.map(str::to_owned)
        }));
    }
    Ok(chains)
}

/// Whether the kernel can do it, tried without changing anything (`nft --check` builds the transaction and lets the kernel abort it);
/// otherwise nft's own words.
///
/// # Errors
/// There is no nft.
pub fn tried(ability: Ability, interface: &str) -> Result<Result<(), String>, NftError> {
    let body = match ability {
        Ability::Filter => "chain c {\ntype filter hook forward priority 0\nct state established,related counter accept\n}".to_owned(),
        Ability::Nat => "chain c {\ntype nat hook postrouting priority 100\nmasquerade\n}".to_owned(),
        Ability::FlowTable => format!("flowtable f {{\nhook ingress priority 0\ndevices = {{ \"{interface}\" }}\n}}"),
    };
    // Nothing of this name is ever made.
    let text = format!("table inet gateway_doctor_{} {{\n{body}\n}}\n", std::process::id());
    let no_nft = |source| NftError::NoNft { source };
    let mut child = Command::new("nft")
        .args(["--check", "-f", "-"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(no_nft)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Where it ended early, its message says why.
        let _ = stdin.write_all(text.as_bytes());
    }
    let output = child.wait_with_output().map_err(no_nft)?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    Ok(Err(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("it does not say why").trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_chains_are_told_from_others_and_know_their_rules() {
        let json = br#"{"nftables": [
            {"metainfo": {"json_schema_version": 1}},
            {"table": {"family": "ip", "name": "filter", "handle": 1}},
            {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}},
            {"chain": {"family": "ip", "table": "filter", "name": "DOCKER-USER"}},
            {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "expr": [{"counter": null}, {"jump": {"target": "DOCKER-USER"}}]}},
            {"rule": {"family": "ip", "table": "filter", "chain": "DOCKER-USER", "expr": [{"return": null}]}}
        ]}"#;
        let chains = parse(json).unwrap();
        assert_eq!(chains.len(), 1);
        let chain = &chains[0];
        assert_eq!((chain.hook.as_str(), chain.policy.as_str(), chain.rules), ("forward", "drop", 1));
        assert_eq!(chain.jumps, ["DOCKER-USER"]);
        assert!(parse(b"[]").is_err() && parse(b"").is_err());
    }
}
