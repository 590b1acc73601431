//! `gateway run`: one loop that owns all state. Everything that can change forwarding enters by `Gateway::reconcile`.

mod engine;
mod error;
mod events;
mod gateway;
mod housekeeping;
mod kept;
mod lock;
mod logging;
mod pace;
mod policy_file;
mod reconcile;
mod record;
mod reload;
mod shutdown;
mod switch;
mod views;
mod watch;
mod watchdog;

use std::path::PathBuf;
use std::process::ExitCode;

pub use error::DaemonError;
use gateway::Gateway;

use crate::instance::InstanceName;

/// What `gateway run` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The policy file.
    pub policy: PathBuf,
    /// Which gateway.
    pub instance: InstanceName,
}

/// Runs until it is told to stop: exit code 0 after a clean stop, 1 when it cannot start or go on.
#[must_use]
pub fn run(options: Options) -> ExitCode {
    logging::start();
    match run_to_end(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(DaemonError::Policy { report }) => {
            // For people, and before anything has been touched: the drawing says more than a log line.
            eprint!("{report}");
            ExitCode::FAILURE
        }
        Err(error) => {
            tracing::error!("{}", error::chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn run_to_end(options: Options) -> Result<(), DaemonError> {
    // The policy first: a broken one must not even create a lock file.
    let policy = policy_file::PolicyFile::load(&options.policy)?;
    let _lock = lock::Lock::take(&options.instance)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|source| DaemonError::Runtime { source })?;
    runtime.block_on(async {
        let gateway = Gateway::start(options, policy).await?;
        events::serve(gateway).await
    })
}
