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
        self.keep_flows();
        if self.put_back().await {
            tracing::info!("stopped; the machine is as it was");
        }
    }

    /// Undoes everything that has been changed. False: interfaces may still forward, so the guard table and the record stay.
    pub async fn put_back(&mut self) -> bool {
        self.engine.detach();
        // The last changes of addresses may still be on their way; what is to be undone is looked up by the kernel's own state.
        let handle = self.observer.handle();
        for failed in apply::restore(&handle, self.observer.inventory(), &mut self.record.changes.applied).await {
            tracing::warn!("{}", error::chain(&failed));
        }
        for failed in self.record.changes.sysctls.restore() {
            tracing::warn!("{}", error::chain(&failed));
        }
        if self.record.changes.sysctls.forwards() {
            if let Err(failed) = self.record.write() {
                tracing::warn!("{}", error::chain(&failed));
            }
            tracing::error!(
                "stopped, but forwarding could not be turned off everywhere: nft table {} stays, as the kernel would forward unfiltered \
                 without it; start and stop the gateway again, or set the keys named above and delete the table",
                guard::table_name(self.options.instance.as_str())
            );
            return false;
        }
        match self.engine.unprotect(&self.options.instance).await {
            Ok(()) => {}
            Err(failed) => tracing::warn!("{}", error::chain(&failed)),
        }
        self.record.remove();
        true
    }
}
