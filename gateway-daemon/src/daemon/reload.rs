//! The policy file again.

use super::gateway::Gateway;
use super::policy_file::PolicyFile;
use super::{DaemonError, error};
use crate::nftables::NftError;

/// Takes up the policy as it is on disk now, or says why not.
///
/// # Errors
/// What is wrong, one line each; the policy in force stays.
pub async fn try_reload(gateway: &mut Gateway) -> Result<(), Vec<String>> {
    let policy = PolicyFile::reload(&gateway.policy.path);
    let policy = policy.and_then(|policy| {
        if policy.model.flows == gateway.policy.model.flows {
            return Ok(policy);
        }
        let (new, old) = (policy.model.flows, gateway.policy.model.flows);
        let place = policy.place("datapath", "flows");
        Err(vec![format!(
            "{place}: `flows` is {new} now and was {old}: tables cannot change their size while they are in use; restart the gateway"
        )])
    });
    match policy {
        Ok(policy) => {
            gateway.reload_errors.clear();
            if policy.model == gateway.policy.model {
                gateway.policy = policy;
                return Ok(());
            }
            let before = std::mem::replace(&mut gateway.policy, policy);
            if let Err(failed) = enforce(gateway).await {
                let mut errors = vec![describe(&gateway.policy, &failed)];
                gateway.policy = before;
                if let Err(failed) = enforce(gateway).await {
                    errors.push(format!("putting the policy before it back in force: {}", error::chain(&failed)));
                }
                gateway.reload_errors.clone_from(&errors);
                return Err(errors);
            }
            gateway.generation = gateway.generation.saturating_add(1);
            tracing::info!("policy reloaded; generation {}", gateway.generation);
            Ok(())
        }
        Err(errors) => {
            gateway.reload_errors.clone_from(&errors);
            Err(errors)
        }
    }
}

/// What stopped the policy, with its place there when one rule did.
fn describe(policy: &PolicyFile, failed: &DaemonError) -> String {
    let text = error::chain(failed);
    match failed {
        DaemonError::Nft(NftError::Refused { rule: Some(rule), .. }) => format!("{}: {text}", policy.place_of_rule(rule)),
        _ => text,
    }
}

/// Brings the machine to [`Gateway::policy`], which has just been replaced.
async fn enforce(gateway: &mut Gateway) -> Result<(), DaemonError> {
    gateway.numbers.update(&gateway.policy.model);
    // What forwarding asks of an interface may have changed with the policy.
    gateway.forwarding.clear();
    gateway.follow_mode().await?;
    gateway.settle().await
}

/// [`try_reload`], for the log.
pub async fn reload(gateway: &mut Gateway) {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Status("reloading")]);
    if let Err(errors) = try_reload(gateway).await {
        for line in errors {
            tracing::error!("{line}");
        }
        tracing::error!("the policy was not reloaded; the one before it stays in force");
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Status("forwarding")]);
}
