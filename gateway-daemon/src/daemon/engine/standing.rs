//! Whether the table that was put in place still stands: others may flush it, as every restart of Debian's nftables.service does.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Scene;
use crate::daemon::{DaemonError, error};
use crate::netlink::rulesets::RulesetWatch;
use crate::nftables::{NftError, Ruleset, Shape};

/// How often it is looked by oneself. Somebody else's change is told at once; this is for what was missed.
pub const AGAIN: Duration = Duration::from_secs(30);

/// Between two looks while others change rulesets all the time.
const APART: Duration = Duration::from_secs(1);

/// The table as it was applied, and the kernel's word about changes.
pub struct Standing {
    watch: RulesetWatch,
    /// As the kernel had it right after it was applied; `None` when it was another one already.
    shape: Option<Shape>,
    /// When it was last looked.
    looked: Option<Instant>,
}

impl Standing {
    /// Begins to listen; nothing is applied yet. Needs a tokio runtime.
    ///
    /// # Errors
    /// There is no netlink to nftables.
    pub fn open() -> Result<Self, DaemonError> {
        Ok(Self { watch: RulesetWatch::open()?, shape: None, looked: None })
    }

    /// Remembers how the table of the ruleset looks that has just been applied.
    ///
    /// # Errors
    /// nft does not list it.
    pub async fn applied(&mut self, scene: Scene<'_>, ruleset: &Ruleset) -> Result<(), NftError> {
        // Of our own change the kernel has told before nft has ended. What it tells from here on is somebody else's.
        self.watch.forget();
        // Who has emptied or removed the table before this look must not pass for us.
        self.shape = Shape::of(scene.instance.as_str()).await?.filter(|shape| shape.may_be_of(ruleset));
        if self.shape.is_none() {
            self.watch.suspect();
        }
        Ok(())
    }

    /// Has it looked at again, if the last time is long ago.
    pub fn doubt(&mut self) {
        if self.looked.is_none_or(|looked| looked.elapsed() >= AGAIN) {
            self.watch.suspect();
        }
    }

    /// Waits until there is reason to look. Nothing is lost when this is dropped while it waits.
    pub async fn told(&mut self) {
        self.watch.changed().await;
        // A machine whose rulesets change all the time is looked at only so often. Dropped while it waits, it must not forget.
        self.watch.suspect();
        if let Some(looked) = self.looked {
            sleep_until(looked + APART).await;
        }
        self.watch.forget();
    }

    /// Looks; true when the table is as it was applied. Where that cannot be found out, it is believed.
    pub async fn stands(&mut self, scene: Scene<'_>) -> bool {
        self.looked = Some(Instant::now());
        match Shape::of(scene.instance.as_str()).await {
            Ok(Some(shape)) if self.shape == Some(shape) => true,
            Ok(_) => {
                tracing::error!("somebody has changed or removed the gateway's nft table; it is put back");
                false
            }
            Err(failed) => {
                tracing::warn!("{}", error::chain(&failed));
                true
            }
        }
    }
}
