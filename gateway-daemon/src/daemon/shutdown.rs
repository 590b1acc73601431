//! The end: the machine as it was.

use super::error;
use super::gateway::Gateway;
use crate::netlink::apply;
use crate::nftables::guard;

impl Gateway {
    /// Stops cleanly: programs first, the guard table last, so that nothing is forwarded unfiltered in between.
    pub async fn stop(mut self) {
        self.ready = false;
        if let Some(control) = self.control.take() {
            control.close().await;
        }
        self.put_back().await;
        tracing::info!("stopped; the machine is as it was");
    }

    /// Undoes everything that has been changed.
    pub async fn put_back(&mut self) {
        self.datapath.detach();
        // The last changes of addresses may still be on their way; what is to be undone is looked up by the kernel's own state.
        let handle = self.observer.handle();
        for failed in apply::restore(&handle, self.observer.inventory(), &mut self.record.changes.applied).await {
            tracing::warn!("{}", error::chain(&failed));
        }
        for failed in self.record.changes.sysctls.restore() {
            tracing::warn!("{}", error::chain(&failed));
        }
        match guard::remove(self.options.instance.as_str()).await {
            Ok(()) => {}
            Err(failed) => tracing::warn!("{}", error::chain(&failed)),
        }
        self.record.remove();
    }
}
